// A drive of one's own or of a team: made, named, sized, made the default one, deleted.

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { clearErrors, submitByApi } from "../accounts/forms.js";
import { everything } from "../accounts/lists.js";
import { fill } from "../accounts/parts.js";
import { changed, go, here, home, isOwn, may } from "./here.js";
import { askTyped } from "./dialogs.js";
import { place } from "./parts.js";
import { say, words } from "./saying.js";

const GIGABYTE = 2 ** 30;
const dialog = place("drive-dialog");
const form = place("drive-form");
const door = form.getAttribute("action");
let edited = null; // the drive that is changed; one is made where there is none
let before = {}; // what the form said when it was opened
let settle = null;

const sizeOf = (text) => {
  if (text === "") return null;
  return Number.isNaN(Number(text)) ? text : Math.round(Number(text) * GIGABYTE);
};

function valuesOf() {
  const { name, description, letter, total_size, owner } = form.elements;
  return {
    name: name.value.trim(), description: description.value.trim(), letter: letter.value, total_size: total_size.value.trim(),
    owner: owner.value, is_default: place("drive-default").checked,
  };
}

/** What is asked of the API: all of a new drive, of another what was changed. */
function asked() {
  const { owner, is_default, ...values } = valuesOf();
  const fields = Object.entries(values).filter(([name, value]) => (edited ? value !== before[name] : value !== ""));
  const body = Object.fromEntries(fields.map(([name, value]) => [name, name === "total_size" ? sizeOf(value) : value]));
  if (edited && is_default !== before.is_default) body.is_default = is_default;
  if (!edited && owner) Object.assign(body, { is_team_drive: true, team_id: owner });
  return body;
}

async function showOwners() {
  const teams = await everything("/api/v1/teams", "teams");
  const managed = teams.filter(({ rights }) => rights.includes("manage_drives"));
  const { owner } = form.elements;
  owner.replaceChildren(owner.options[0], ...managed.map(({ id, name }) => new Option(fill(words.team, { name }), id)));
  place("drive-owner-field").hidden = !managed.length;
}

function show(drive) {
  edited = drive;
  clearErrors(form);
  form.reset();
  const { name, description, letter, total_size } = form.elements;
  if (drive) {
    name.value = drive.name;
    description.value = drive.description;
    letter.value = drive.drive_letter?.[0] ?? "";
    total_size.value = drive.total_size === null ? "" : String(+(drive.total_size / GIGABYTE).toFixed(3));
  }
  const isMine = !drive || isOwn(drive);
  // Which of them is meant is changed at another one.
  place("drive-default").checked = place("drive-default").disabled = drive?.id === home;
  place("drive-letter-field").hidden = Boolean(drive?.team_id);
  place("drive-default-field").hidden = !drive || !isMine;
  place("drive-owner-field").hidden = true;
  place("drive-delete").hidden = !drive || !may("delete", drive.id);
  for (const id of ["drive-title", "drive-submit"]) place(id).textContent = place(id).dataset[drive ? "change" : "make"];
  before = valuesOf();
}

form.elements.owner.addEventListener("change", ({ target }) => (place("drive-letter-field").hidden = Boolean(target.value)));
submitByApi(form, {
  send: () => callSignedIn(edited ? "PUT" : "POST", edited ? `${door}/${edited.id}` : door, asked()),
  done: (drive) => settle(drive),
});

/** Let a drive be changed, or made where there is none. Throws ApiError. */
export async function editDrive(drive) {
  show(drive);
  if (!drive) await showOwners();
  const saved = await ask(dialog, (given) => {
    settle = given;
    place("drive-delete").onclick = () => given("delete");
  });
  if (saved === "delete") await deleteDrive(drive);
  else if (saved) {
    changed();
    say(fill(words[drive ? "drivesaved" : "drivemade"], { name: saved.name }));
    if (!drive) seekDrive(saved.id);
  }
}

/** Go there once the list of drives knows it. */
function seekDrive(id) {
  addEventListener("drives-known", () => go({ view: "files", drive: id, path: "/" }), { once: true });
}

async function deleteDrive({ id, name, file_count }) {
  const { total } = await callSignedIn("GET", `/api/v1/shares?drive_id=${id}&is_revoked=false&limit=1`);
  if (!(await askTyped("drive", { name, files: file_count, links: total }, name))) return;
  await callSignedIn("DELETE", `${door}/${id}`);
  say(fill(words.drivegone, { name }));
  if (here.drive === id) go({ view: "files", drive: "", path: "/" });
  changed();
}
