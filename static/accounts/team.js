// One team: what it is, what may be done with it, and its people. What is offered is what the server says one may do.

import { callSignedIn } from "./api.js";
import { askSure, openForm } from "./dialogs.js";
import { submitByApi } from "./forms.js";
import * as invitations from "./invitations.js";
import { everything } from "./lists.js";
import * as members from "./members.js";
import { element, fill, moneyText, place } from "./parts.js";
import { attempt, changed, say } from "./saying.js";
import { askTeam } from "./teamlist.js";

const transfer = place("transfer-form");
const roles = place("teams").dataset;
let team;
let others = []; // members beside oneself

const door = (part = "") => `/api/v1/teams/${team.id}${part}`;

function showDrives(drives) {
  const told = place("team-drives");
  const links = drives.map(({ id, name }) => {
    const link = element("a", name);
    link.href = `${told.dataset.page}#/${id}`;
    return link;
  });
  if (links.length) told.replaceChildren(...links);
  else told.textContent = told.dataset.none;
}

function showMoney(wallet) {
  place("team-money").hidden = !wallet;
  if (!wallet) return;
  place("team-wallet").textContent = moneyText(wallet.balance);
  place("team-wallet").href = `${place("team-wallet").dataset.page}#balance?wallet=${wallet.id}`;
}

function show(isOnlyOwner) {
  place("team-name").textContent = team.name;
  place("team-role").textContent = roles[team.role];
  place("team-about").textContent = team.description;
  place("team-about").hidden = !team.description;
  const count = { count: team.member_count, most: team.max_members };
  place("team-count").textContent = fill(place("team-count").dataset.text, count);
  for (const act of document.querySelectorAll("[data-right]")) act.hidden = !team.rights.includes(act.dataset.right);
  place("leave-team").disabled = isOnlyOwner;
  place("only-owner").hidden = !isOnlyOwner || !others.length;
  place("hand-over").disabled = !others.length;
}

export async function load(user, id) {
  const asked = await callSignedIn("GET", `/api/v1/teams/${encodeURIComponent(id)}`);
  const may = (right) => asked.rights.includes(right);
  const [people, open, drives, wallets] = await Promise.all([
    members.load(asked, user),
    may("manage_members") ? invitations.load(asked) : null,
    may("read_files") ? everything("/api/v1/drives", "drives") : [],
    may("view_money") ? everything("/api/v1/billing/wallets", "wallets") : [],
  ]);
  return () => {
    team = asked;
    others = people.others;
    show(people.isOnlyOwner);
    people.show();
    place("inviting").hidden = !open;
    place("inviting").closest(".halves").classList.toggle("alone", !open);
    open?.();
    showDrives(drives.filter((drive) => drive.team_id === id));
    showMoney(wallets.find(({ owner, currency }) => owner.id === id && currency === "CNY"));
    return team.name;
  };
}

/** Do what ends being in the team, once it is meant. */
const leaving = (question, act) => ({ target }) => attempt(async () => {
  if (!(await askSure(question, team))) return;
  await act();
  say(target.dataset.done);
  location.hash = "";
});

place("edit-team").addEventListener("click", () => askTeam(team));
place("leave-team").addEventListener("click", leaving("leave", () => callSignedIn("POST", door("/leave"))));
place("delete-team").addEventListener("click", leaving("delete", () => callSignedIn("DELETE", door())));
place("hand-over").addEventListener("click", () => {
  place("heir").replaceChildren(...others.map(({ id, username }) => new Option(username, id)));
  openForm(transfer);
});
submitByApi(transfer, {
  send: (_method, _path, values) => callSignedIn("POST", door("/transfer"), values),
  done() {
    transfer.closest("dialog").close();
    say(place("hand-over").dataset.done);
    changed();
  },
});
