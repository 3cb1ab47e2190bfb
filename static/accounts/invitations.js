// The invitations that a team has sent: a new one, and those that are open.

import { callSignedIn } from "./api.js";
import { askSure } from "./dialogs.js";
import { submitByApi } from "./forms.js";
import { copyText, fill, place, timeText, titledRow } from "./parts.js";
import { List, attempt, changed, doing, say } from "./saying.js";

const form = place("invite-form");
const link = place("invite-link");
const roles = place("teams").dataset;
const list = new List("invitation", "invitations", invitationRow);
let team = null;

const door = () => `/api/v1/teams/${team.id}/invitations`;

function invitationRow(invitation) {
  const { dataset } = list.rows;
  const by = fill(dataset.by, { name: invitation.invited_by.username });
  const until = fill(dataset.until, { time: timeText(invitation.expires_at) });
  const item = titledRow(invitation.phone || dataset.link, roles[invitation.role], by, until);
  if (!team.managed_roles.includes(invitation.role)) return item;
  item.append(doing(dataset.withdraw, "button quiet small", async () => {
    if (!(await askSure("withdraw"))) return;
    await callSignedIn("DELETE", `${door()}/${invitation.id}`);
    place("invited").hidden = true;
    say(dataset.done);
    changed();
  }));
  return item;
}

function showForm(asked) {
  const offered = asked.managed_roles.filter((role) => role !== "owner");
  const { role } = form.elements;
  if (team?.id === asked.id && role.options.length === offered.length) return; // what is typed stays
  role.replaceChildren(...offered.map((each) => new Option(roles[each], each)));
  role.value = "member";
  form.elements.phone.value = "";
  place("invited").hidden = true;
}

export async function load(asked) {
  const show = await list.load(`/api/v1/teams/${asked.id}/invitations`, {});
  return () => {
    showForm(asked);
    team = asked;
    show();
  };
}

submitByApi(form, {
  send: (method, _path, values) =>
    callSignedIn(method, door(), { ...values, expires_in_days: Number(values.expires_in_days) }),
  done(invitation) {
    form.elements.phone.value = "";
    link.value = invitation.link;
    place("invited").hidden = false;
    link.select();
    changed();
  },
});
place("copy-link").addEventListener("click", ({ target }) => attempt(async () => {
  link.select();
  await copyText(link.value);
  say(target.dataset.done);
}));
