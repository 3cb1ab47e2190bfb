// Where one is: the drives there are, what one may do in each, and the place in the address.
//
// #/<drive>/<path>, #search/<drive>/<words>, #favourites/<drive>, #trash/<drive>, #shares/<drive>, #log/<drive>/<file>;
// #file/<id> leads to where a file or folder lies.

import { callSignedIn } from "../accounts/api.js";
import { everything } from "../accounts/lists.js";

const VIEWS = ["files", "search", "favourites", "trash", "shares", "log"];

/** `rest` is what is searched for, or the file whose log is shown. */
export let here = { view: "files", drive: "", path: "/", rest: "" };
export let drives = [];
export let home = ""; // the drive that is meant where the address names none

export const driveOf = (id) => drives.find((drive) => drive.id === id);
export const may = (right, drive = here.drive) => Boolean(driveOf(drive)?.rights.includes(right));
export const isOwn = (drive) => drive.rights.includes("delete") && !drive.team_id;
export const joined = (folder, name) => (folder === "/" ? `/${name}` : `${folder}/${name}`);
export const parentOf = (path) => path.slice(0, path.lastIndexOf("/")) || "/";

export async function loadDrives() {
  home = (await callSignedIn("GET", "/api/v1/drives/default")).id; // whoever has none gets one
  drives = await everything("/api/v1/drives", "drives");
}

export function addressOf({ view, drive, path, rest }) {
  const names = view === "files" ? path.split("/").filter(Boolean) : [rest].filter(Boolean);
  return `#${[view === "files" ? "" : view, drive, ...names].map(encodeURIComponent).join("/")}`;
}

/** Take over what the address says; the id of the file it leads to, if it names one. */
export function readAddress() {
  const [kind, first = "", ...names] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const view = VIEWS.includes(kind) ? kind : "files";
  const rest = view === "files" ? "" : names.join("/");
  const drive = driveOf(first) ? first : home;
  const left = drive === here.drive ? here.path : "/"; // where one comes back to
  here = { view, drive, path: view === "files" ? `/${names.filter(Boolean).join("/")}` : left, rest };
  return kind === "file" ? first : "";
}

/** Go elsewhere; `change` says in what it differs from here. */
export function go(change) {
  const target = addressOf({ ...here, rest: "", ...change });
  if (location.hash === target) dispatchEvent(new Event("hashchange"));
  else location.hash = target;
}

/** What lies in the drives has changed: everything that shows it looks anew. */
export const changed = () => dispatchEvent(new Event("drive-changed"));
