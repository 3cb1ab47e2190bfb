// Files of this computer that come into the drive: what was picked or dropped, and what a name that is taken means.

import { ask } from "../accounts/dialogs.js";
import { fill } from "../accounts/parts.js";
import { queued } from "./batches.js";
import { element, place } from "./parts.js";
import { words } from "./saying.js";
import { upload } from "./uploading.js";

const dialog = place("clash-dialog");

// --- What was dropped ---

const read = (reader) => new Promise((done, fail) => reader.readEntries(done, fail));
const fileOf = (entry) => new Promise((done, fail) => entry.file(done, fail));

/** All files of what the desktop calls an entry, each with the folders it lies in. */
async function walk(entry, within, found) {
  if (entry.isFile) {
    found.push({ file: await fileOf(entry), within });
    return;
  }
  const reader = entry.createReader();
  for (let some = await read(reader); some.length; some = await read(reader)) {
    for (const each of some) await walk(each, [...within, entry.name], found);
  }
}

/** Files of a drop, also those of folders: `[{ file, within }]`. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, within: [] }));
  const found = [];
  for (const entry of entries) await walk(entry, [], found);
  return found;
}

/** Files of a picker; those of a folder keep their place in it. */
export const picked = (files) =>
  [...files].map((file) => ({ file, within: file.webkitRelativePath.split("/").slice(0, -1) }));

// --- A name that is taken ---

/** Ask what shall be done where these paths are taken: keep_both, replace, skip; null for nothing at all. */
function askClash(paths) {
  place("clash-says").textContent = fill(place("clash-says").dataset.text, { count: paths.length });
  place("clashes").replaceChildren(...paths.map((path) => element("li", path)));
  return ask(dialog, (settle) => {
    for (const choice of dialog.querySelectorAll("[data-rule]")) choice.onclick = () => settle(choice.dataset.rule);
  });
}

// --- On its way ---

/** Bring files to a place, one batch after the other. */
export function take(files, { drive, path }) {
  if (!files.length) return;
  const [first] = files;
  const values = { name: first.within[0] ?? first.file.name, count: files.length };
  const name = files.length === 1 ? first.file.name : fill(words.files, values);
  queued(name, (hear) => upload(drive, path, files, askClash, hear));
}
