// The teams one is in, a new one, and the invitations to others.

import { callSignedIn } from "./api.js";
import { openForm } from "./dialogs.js";
import { submitByApi } from "./forms.js";
import { element, fill, place, timeText, titledRow } from "./parts.js";
import { List, changed, doing, say } from "./saying.js";

const form = place("team-form");
const roles = place("teams").dataset;
const received = new List("received", "invitations", receivedRow);
const teams = new List("team", "teams", teamRow, 20);

function receivedRow({ id, team, role, invited_by, expires_at }) {
  const { dataset } = received.rows;
  const says = fill(dataset.says, { name: invited_by.username, role: roles[role] });
  const item = titledRow(team.name, says, fill(dataset.until, { time: timeText(expires_at) }));
  const answer = async (word, text) => {
    await callSignedIn("POST", `/api/v1/team-invitations/${id}/${word}`);
    say(fill(text, { team: team.name }));
    changed();
  };
  const acts = element("div", "", "acts");
  acts.append(
    doing(dataset.accept, "button small", () => answer("accept", dataset.joined)),
    doing(dataset.decline, "button quiet small", () => answer("decline", dataset.declined)),
  );
  item.append(acts);
  return item;
}

function teamRow({ id, name, description, role, member_count }) {
  const item = titledRow("", fill(teams.rows.dataset.members, { count: member_count }), description);
  item.classList.add("team");
  const link = element("a", name);
  link.href = `#${id}`;
  item.querySelector("b").append(link);
  item.append(element("span", roles[role], role === "owner" ? "tag" : "tag quiet"));
  return item;
}

export async function load(user) {
  const shows = await Promise.all([teams.load("/api/v1/teams", {}), received.load("/api/v1/team-invitations", {})]);
  return () => {
    for (const show of shows) show();
    place("received").hidden = !received.rows.children.length;
    place("guest").hidden = !user.is_guest;
    place("new-team").hidden = user.is_guest;
    return "";
  };
}

let editing = null; // the team that the form changes; it makes one where there is none

/** Ask for a new team, or for other words about `team`. */
export function askTeam(team = null) {
  editing = team;
  place("team-title").textContent = place("team-title").dataset[team ? "edit" : "make"];
  openForm(form, team ? { name: team.name, description: team.description } : {});
}

submitByApi(form, {
  send: (method, path, values) =>
    editing ? callSignedIn("PATCH", `${path}/${editing.id}`, values) : callSignedIn(method, path, values),
  done({ id }) {
    const { made, edited } = form.querySelector("[type=submit]").dataset;
    form.closest("dialog").close();
    say(editing ? edited : made);
    if (editing) changed();
    else location.hash = id;
  },
});
place("new-team").addEventListener("click", () => askTeam());
