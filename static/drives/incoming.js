// Files of this computer on their way into the drive: what was picked or dropped, one batch after the other, what a name
// that is taken means, and how far they are.

import { ask } from "../accounts/dialogs.js";
import { fill } from "../accounts/parts.js";
import { changed } from "./here.js";
import { button, element, place, sizeText } from "./parts.js";
import { attempt, words } from "./saying.js";
import { upload } from "./uploading.js";

const MOST_TOLD = 50; // files that failed, by name
const dialog = place("clash-dialog");
let queue = Promise.resolve();
let waiting = 0; // batches that are not over

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

// --- How far it is ---

const panel = place("uploads");

class Batch {
  constructor(name, stop) {
    this.item = element("li");
    this.name = element("b", name);
    this.says = element("small");
    this.bar = element("progress");
    Object.assign(this.bar, { max: 1, value: 0 });
    this.bar.setAttribute("aria-label", name);
    this.faults = element("ul", "", "faults");
    this.stop = button(words.stop, "button quiet small", stop);
    const head = element("div", "", "about");
    head.append(this.name, this.says);
    this.item.append(head, this.stop, this.bar, this.faults);
    this.began = Date.now();
    place("batches").prepend(this.item);
    panel.hidden = false;
  }

  tell({ done, failed, total, sent, size }) {
    const texts = place("batches").dataset;
    const rate = sent / Math.max((Date.now() - this.began) / 1000, 0.5);
    const values = { done, total, failed, sent: sizeText(sent), size: sizeText(size), rate: sizeText(Math.round(rate)) };
    const isOver = done + failed === total;
    this.says.textContent = fill(texts[!isOver ? "going" : failed ? "failed" : "done"], values);
    this.bar.value = size ? sent / size : Number(isOver);
    if (isOver) this.over(failed);
  }

  fault(path, reason) {
    if (this.faults.children.length < MOST_TOLD) this.faults.append(element("li", `${path}: ${reason}`));
  }

  over(isBad) {
    this.stop.hidden = true;
    this.bar.hidden = !isBad;
    this.item.classList.toggle("bad", Boolean(isBad));
  }

  end(text) {
    this.says.textContent = text;
    this.over(true);
  }
}

async function bring(files, { drive, path }) {
  const control = new AbortController();
  const batch = new Batch(files.length === 1 ? files[0].file.name : fill(words.files, { name: files[0].within[0] ?? files[0].file.name, count: files.length }),
    () => control.abort());
  try {
    const isDone = await upload(drive, path, files, {
      askClash,
      signal: control.signal,
      tell: (state) => batch.tell(state),
      fault: (at, reason) => batch.fault(at, reason),
    });
    if (!isDone) batch.end(words.stopped);
  } catch (error) {
    batch.end(error.message);
    throw error;
  } finally {
    changed();
  }
}

/** Bring files to a place, one batch after the other. */
export function take(files, to) {
  if (!files.length) return;
  waiting++;
  queue = queue.then(() => attempt(() => bring(files, to))).finally(() => waiting--);
}

addEventListener("beforeunload", (event) => waiting && event.preventDefault());

place("upload-close").addEventListener("click", () => (panel.hidden = true));
