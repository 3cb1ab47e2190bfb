// The members of a team: their roles, and taking them out.

import { callSignedIn } from "./api.js";
import { askSure } from "./dialogs.js";
import { showFace } from "./face.js";
import { everything } from "./lists.js";
import { dayText, element, fill, place, titledRow } from "./parts.js";
import { List, attempt, changed, doing, say } from "./saying.js";

const MOST = 100; // what one answer holds
const roles = place("teams").dataset;
const list = new List("member", "members", memberRow, MOST);
let team;
let user;
let isOnlyOwner = false;

const door = ({ id }) => `/api/v1/teams/${team.id}/members/${id}`;

function roleChoice(member) {
  const { dataset } = list.rows;
  const choice = element("select");
  choice.setAttribute("aria-label", fill(dataset.role, { name: member.username }));
  choice.append(...team.managed_roles.map((role) => new Option(roles[role], role)));
  choice.value = member.role;
  choice.addEventListener("change", () => attempt(async () => {
    const role = choice.value;
    choice.value = member.role; // until it is so
    if (role === "owner" && !(await askSure("owner", { name: member.username }))) return;
    await callSignedIn("PUT", door(member), { role });
    say(fill(dataset.changed, { name: member.username, role: roles[role] }));
    changed();
  }));
  return choice;
}

function removeButton(member) {
  const { dataset } = list.rows;
  const made = doing(dataset.remove, "button quiet small", async () => {
    if (!(await askSure("remove", { name: member.username }))) return;
    await callSignedIn("DELETE", door(member));
    say(fill(dataset.removed, { name: member.username }));
    changed();
  });
  made.setAttribute("aria-label", `${dataset.remove}: ${member.username}`);
  return made;
}

function memberRow(member) {
  const { dataset } = list.rows;
  const isMe = member.id === user.id;
  const item = titledRow(member.username, member.phone, fill(dataset.joined, { date: dayText(member.joined_at) }));
  const face = showFace(element("span", "", "face small"), member);
  face.setAttribute("aria-hidden", "true");
  item.prepend(face);
  if (isMe) item.querySelector("b").append(element("span", dataset.you, "tag quiet"));
  const isManaged = team.managed_roles.includes(member.role);
  const acts = element("div", "", "acts");
  if (isManaged && !(isMe && isOnlyOwner)) acts.append(roleChoice(member));
  else acts.append(element("span", roles[member.role], member.role === "owner" ? "tag" : "tag quiet"));
  if (isManaged && !isMe) acts.append(removeButton(member));
  item.append(acts);
  return item;
}

/** The members of a team as `asked` sees them: who the others are, whether one is alone in owning it, and `show()`. */
export async function load(asked, me) {
  const path = `/api/v1/teams/${asked.id}/members`;
  const show = await list.load(path, {});
  const everybody = show.answer.total > MOST ? await everything(path, "members") : show.answer.members;
  const owners = everybody.filter(({ role }) => role === "owner");
  const isAlone = asked.role === "owner" && owners.length === 1;
  return {
    others: everybody.filter(({ id }) => id !== me.id),
    isOnlyOwner: isAlone,
    show() {
      team = asked;
      user = me;
      isOnlyOwner = isAlone;
      show();
    },
  };
}
