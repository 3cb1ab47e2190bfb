// Who else may use a drive: seen by all, changed by those who manage it; everybody may leave.

import { callSignedIn } from "../accounts/api.js";
import { clearErrors, submitByApi } from "../accounts/forms.js";
import { everything } from "../accounts/lists.js";
import { fill } from "../accounts/parts.js";
import { failing } from "../accounts/failing.js";
import { changed, driveOf, go, here, may } from "./here.js";
import { button, element, place, timeText } from "./parts.js";
import { say, words } from "./saying.js";

const dialog = place("members-dialog");
const form = place("members-form");
const list = place("members");
const { attempt } = failing(place("members-refused"), words.login);
let door = "";
let me = "";

function roles(member) {
  const select = form.elements.role.cloneNode(true);
  select.removeAttribute("id");
  select.value = member.role;
  select.setAttribute("aria-label", fill(list.dataset.role, { name: member.username }));
  select.addEventListener("change", () => attempt(async () => {
    try {
      member.role = (await callSignedIn("PUT", `${door}/${member.user_id}`, { role: select.value })).role;
    } finally {
      select.value = member.role;
    }
    if (member.user_id === me) changed();
  }));
  const label = element("label", "", "pick");
  label.append(select);
  return label;
}

const roleName = (role) => [...form.elements.role.options].find(({ value }) => value === role)?.textContent ?? role;

function row(member) {
  const item = element("li");
  const about = element("div", "", "about");
  const isMe = member.user_id === me;
  const since = fill(list.dataset.since, { time: timeText(member.created_at) });
  about.append(element("b", isMe ? fill(list.dataset.me, { name: member.username }) : member.username), element("small", since));
  item.append(about, may("manage") ? roles(member) : element("span", roleName(member.role), "tag quiet"));
  if (isMe || may("manage")) {
    const out = button(list.dataset[isMe ? "leave" : "remove"], "button quiet small", () => attempt(async () => {
      await callSignedIn("DELETE", `${door}/${member.user_id}`);
      item.remove();
      if (isMe) {
        dialog.close();
        say(fill(words.left, { name: driveOf(here.drive).name }));
        go({ view: "files", drive: "", path: "/" });
        changed();
      } else await show();
    }));
    item.append(out);
  }
  return item;
}

async function show() {
  const members = await everything(door, "members");
  list.replaceChildren(...members.map(row));
  place("no-members").hidden = members.length > 0;
}

submitByApi(form, {
  send: (_method, _path, values) => callSignedIn("POST", door, values),
  done: () => {
    form.elements.username.value = "";
    form.elements.username.focus();
    attempt(show);
  },
  // Who is not found is a fault of the name, not of the page.
  failed: (error) => {
    if (error.status === 404) error.message = form.dataset.unknown;
    return false;
  },
});

/** Show who may use the drive that is shown. Throws ApiError. */
export async function showMembers() {
  const { id, name, owner_name, team_id } = driveOf(here.drive);
  door = `/api/v1/drives/${id}/members`;
  me = (await callSignedIn("GET", "/api/v1/users/me")).id;
  clearErrors(form);
  form.reset();
  form.hidden = !may("manage");
  place("members-refused").hidden = true;
  place("members-name").textContent = name;
  place("members-owner").textContent = fill(place("members-owner").dataset[team_id ? "team" : "person"], { name: owner_name });
  await show();
  dialog.showModal();
}
