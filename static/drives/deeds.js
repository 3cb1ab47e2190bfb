// What is done to many at once: an answer for each, another try where a name is taken, and the way back.

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { fill } from "../accounts/parts.js";
import { chooseFolder } from "./folders.js";
import { changed, here } from "./here.js";
import { element, icon, kindOf, place } from "./parts.js";
import { attempt, say, words } from "./saying.js";

const MOST_AT_ONCE = 500; // what one call of /files/bulk takes
const CLASHES = ["move", "copy", "restore"]; // deeds that may meet a name that is taken
const dialog = place("outcome-dialog");

/** Each item's answer, in the order of `ids`. */
async function send(action, ids, more) {
  const results = [];
  for (let start = 0; start < ids.length; start += MOST_AT_ONCE) {
    const body = { action, ids: ids.slice(start, start + MOST_AT_ONCE), ...more };
    results.push(...(await callSignedIn("POST", "/api/v1/files/bulk", body)).results);
  }
  return results;
}

function line(entry, detail) {
  const item = element("li");
  const about = element("div", "", "about");
  about.append(element("b", entry?.name ?? ""), element("small", detail));
  item.append(icon(entry ? kindOf(entry) : "file"), about);
  return item;
}

/** Show what did not go and why; what shall be tried again: `{ on_clash }`, `{ folder_path }`, or null. */
function askAgain(action, failed, entries) {
  const clashes = failed.filter(({ code }) => code === "name_taken");
  const homeless = failed.some(({ code }) => code === "place_gone");
  const files = clashes.filter(({ id }) => !entries.get(id)?.is_folder);
  place("outcome-says").textContent = fill(place("outcome-says").dataset[clashes.length ? "clash" : "failed"], { count: failed.length });
  place("outcome").replaceChildren(...failed.map(({ id, detail }) => line(entries.get(id), detail)));
  place("outcome-keep").hidden = !clashes.length;
  place("outcome-replace").hidden = !files.length;
  place("outcome-hint").hidden = !files.length;
  place("outcome-elsewhere").hidden = !homeless;
  const close = place("outcome-close");
  close.textContent = close.dataset[clashes.length ? "skip" : "close"];
  return ask(dialog, (settle) => {
    place("outcome-keep").onclick = () => settle({ on_clash: "keep_both" });
    place("outcome-replace").onclick = () => settle({ on_clash: "replace" });
    place("outcome-elsewhere").onclick = () => attempt(async () => {
      const folder = await chooseFolder("restore", failed.length);
      settle(folder && { folder_path: folder.path });
    });
  });
}

/** How to take a deed back, or undefined. */
function undoOf(action, done, from) {
  if (action === "trash") return () => deed("restore", done);
  if (action === "move" && from) return () => deed("move", done, from, { isUndo: true });
  return undefined;
}

/** Do `action` to `list` of entries. Says what was done, and asks about what was refused. Throws ApiError. */
export async function deed(action, list, more = {}, { isUndo = false } = {}) {
  const entries = new Map(list.map((entry) => [entry.id, entry]));
  const folders = new Set(list.map(({ drive_id, folder_path }) => `${drive_id} ${folder_path}`));
  const from = folders.size === 1 && list[0].folder_path && { drive_id: list[0].drive_id, folder_path: list[0].folder_path };
  const done = [];
  let ids = [...entries.keys()];
  let asked = CLASHES.includes(action) ? { ...more, on_clash: more.on_clash ?? "refuse" } : more;
  while (ids.length) {
    const results = await send(action, ids, asked);
    done.push(...results.filter(({ success }) => success));
    const failed = results.filter(({ success }) => !success);
    if (results.some(({ success }) => success)) changed();
    if (!failed.length) break;
    const again = await askAgain(action, failed, entries);
    if (!again) break;
    asked = { ...asked, ...again };
    const codes = again.folder_path ? ["place_gone"] : ["name_taken"];
    ids = failed.filter(({ code }) => codes.includes(code)).map(({ id }) => id);
  }
  if (!done.length) return;
  const undo = isUndo ? undefined : undoOf(action, done.map(({ id }) => entries.get(id)), from);
  say(fill(words[`did${action}`], { count: done.length }), undo);
}

/** Move or copy to a folder that is chosen in a dialog. */
export async function toFolder(action, list) {
  const folder = await chooseFolder(action, list.length);
  if (folder) await deed(action, list, { drive_id: folder.drive, folder_path: folder.path });
}

export const emptyTrash = async () => {
  const { count } = await callSignedIn("DELETE", `/api/v1/drives/${here.drive}/trash`);
  changed();
  say(fill(words.didpurge, { count }));
};
