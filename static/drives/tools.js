// What can be done: the buttons, which of them fit what is chosen, and their keys.

import { callSignedIn } from "../accounts/api.js";
import { askSure } from "../accounts/dialogs.js";
import { copyText, fill } from "../accounts/parts.js";
import { chosen, chooseAlso, chooseOnly, clear, rowOf } from "./choosing.js";
import { deed, emptyTrash, toFolder } from "./deeds.js";
import * as details from "./details.js";
import { askName } from "./dialogs.js";
import { addressOf, changed, driveOf, here, may } from "./here.js";
import { picked, take } from "./incoming.js";
import { isGone, isList, lead, rest, seek, shown, total } from "./listing.js";
import { showMembers } from "./members.js";
import { openMenu } from "./menu.js";
import { showNetwork } from "./network.js";
import { isScene, place } from "./parts.js";
import { attempt, say, words } from "./saying.js";
import { editDrive } from "./settings.js";
import { shareEntry } from "./sharing.js";
import { showUsage } from "./usage.js";
import { bringBack } from "./versions.js";

const MOST_IN_ZIP = 500; // what one call of /files/archive takes
const page = place("drive");
const all = () => [...chosen.values()];
const first = () => all()[0];

/** What a button needs of what is chosen. */
const fits = {
  some: () => chosen.size > 0,
  one: () => chosen.size === 1,
  file: () => chosen.size === 1 && !first().is_folder,
  scene: () => chosen.size === 1 && isScene(first()),
};

/** Whether a button is shown: by the view, by what is chosen, and by what one may do with all of it. */
function belongs({ dataset: { views, needs, right } }) {
  if (views && !views.split(" ").includes(here.view)) return false;
  if (needs && !fits[needs]()) return false;
  if (isGone && !needs && views) return false;
  if (!right) return true;
  return needs ? all().every((entry) => may(right, entry.drive_id)) : may(right);
}

export function showTools() {
  const isChosen = chosen.size > 0 && isList();
  for (const tool of page.querySelectorAll("[data-act]")) tool.hidden = !belongs(tool);
  page.querySelector('[data-act="empty"]').hidden ||= !total;
  place("making").hidden = isChosen;
  place("doing").hidden = !isChosen;
  place("chosen").textContent = isChosen ? fill(words.selected, { count: chosen.size }) : "";
  const isShownChosen = isChosen && chosen.size >= shown.length;
  place("all").checked = isShownChosen;
  place("all").indeterminate = isChosen && chosen.size < total;
  place("choose-rest").textContent = fill(words.chooserest, { count: total });
  place("choose-rest").hidden = !isShownChosen || chosen.size >= total;
  place("read-only").hidden = may("write");
  details.follow(isList() ? all() : []);
}

/** The menu of a row: it is chosen first, unless it is among what is chosen. */
export function menu(event, entry) {
  if (!chosen.has(entry.id)) chooseOnly(rowOf(entry.id));
  showMenu(event);
}

const showMenu = (event) =>
  openMenu(event, [...place("doing").querySelectorAll("[data-needs]")].filter((tool) => !tool.hidden));

export async function download(entries) {
  if (entries.length > MOST_IN_ZIP) {
    say(fill(words.zip, { count: MOST_IN_ZIP }));
    return;
  }
  const alone = entries.length === 1 && !entries[0].is_folder;
  const link = alone
    ? await callSignedIn("GET", `/api/v1/files/${entries[0].id}/download`)
    : await callSignedIn("POST", "/api/v1/files/archive", { ids: entries.map(({ id }) => id) });
  location.assign(link.download_url);
}

async function rename() {
  const entry = first();
  const act = (file_name) => callSignedIn("PUT", `/api/v1/files/${entry.id}`, { file_name });
  const renamed = await askName("rename", entry.name, act);
  if (!renamed) return;
  seek(renamed.id);
  changed();
}

async function makeFolder() {
  const body = (file_name) => ({ drive_id: here.drive, folder_path: here.path, file_name });
  const made = await askName("make", "", (name) => callSignedIn("POST", "/api/v1/files", body(name)));
  if (!made) return;
  seek(made.id);
  changed();
}

/** Mark all that is chosen, or unmark it where it is marked already. */
async function star() {
  const isMarked = all().every(({ is_favourite }) => is_favourite);
  for (const { id } of all()) await callSignedIn(isMarked ? "DELETE" : "PUT", `/api/v1/files/${id}/favourite`);
  changed();
}

async function copyAddress() {
  const entry = first();
  await copyText(new URL(`${location.pathname}#file/${entry.id}`, location.href).href);
  say(words.copied);
}

/** Go where a task of a scene is made. */
export const render = ({ id }) => location.assign(`${words.tasks}#new/${id}`);

const acts = {
  upload: () => place("pick-files").click(),
  "upload-folder": () => place("pick-folder").click(),
  make: makeFolder,
  network: showNetwork,
  members: showMembers,
  usage: showUsage,
  settings: () => editDrive(driveOf(here.drive)),
  "new-drive": () => editDrive(null),
  clear,
  rest: async () => chooseAlso(await rest()),
  menu: showMenu,
  lead: () => lead(first()),
  address: copyAddress,
  star,
  details: () => details.toggle(all(), true),
  rename,
  share: () => shareEntry({ id: first().id, name: first().name, drive: first().drive_id }),
  async versions() {
    if (await bringBack(first())) changed();
  },
  log: () => (location.hash = addressOf({ view: "log", drive: first().drive_id, rest: first().id })),
  render: () => render(first()),
  download: () => download(all()),
  move: () => toFolder("move", all()),
  copy: () => toFolder("copy", all()),
  trash: () => deed("trash", all()),
  restore: () => deed("restore", all()),
  async purge() {
    if (await askSure("purge", { count: chosen.size })) await deed("purge", all());
  },
  async empty() {
    if (await askSure("empty", { count: total })) await emptyTrash();
  },
};

/** Do what a button stands for, if it is one that fits. */
export function act(name) {
  const tool = page.querySelector(`[data-act="${name}"]`);
  if (belongs(tool)) attempt(acts[name]);
}

export function listen() {
  for (const tool of page.querySelectorAll("[data-act]")) {
    tool.addEventListener("click", (event) => attempt(() => acts[tool.dataset.act](event)));
    const words = tool.querySelector(".words"); // which are left out where there is little room
    if (words) tool.title = words.textContent;
    if (words) tool.setAttribute("aria-label", words.textContent);
  }
  for (const name of ["pick-files", "pick-folder"]) {
    place(name).addEventListener("change", ({ target }) => {
      take(picked(target.files), { drive: here.drive, path: here.path });
      target.value = "";
    });
  }
}
