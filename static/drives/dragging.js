// Rows dragged into folders, and files and folders of the desktop dropped where they shall go. What takes them has its
// address in data-drop; the tab of the trash takes rows.

import { fill } from "../accounts/parts.js";
import { chosen, chooseOnly, entryOf } from "./choosing.js";
import { deed } from "./deeds.js";
import { here, joined, may } from "./here.js";
import { isGone } from "./listing.js";
import { place } from "./parts.js";
import { attempt, words } from "./saying.js";
import { dropped, take } from "./incoming.js";

const LINGER = 700; // milliseconds over a closed folder of the tree until it opens
const page = place("drive");
let dragged = null; // entries under way
let over = null; // what would take them
let due = 0;

const placeOf = (target) => {
  const [, drive, ...names] = target.dataset.drop.slice(1).split("/").map(decodeURIComponent);
  return { drive, path: `/${names.join("/")}` };
};

/** Whether the entries may go to this place: not into themselves, and not where they are. */
function fits({ drive, path }, isCopy) {
  if (!may("write", drive)) return false;
  if (!isCopy && !dragged.every((entry) => may("write", entry.drive_id))) return false;
  return dragged.every((entry) => {
    const own = joined(entry.folder_path, entry.name);
    const isInside = entry.is_folder && `${path}/`.startsWith(`${own}/`);
    return entry.drive_id !== drive || (!isInside && (isCopy || entry.folder_path !== path));
  });
}

/** What would take what is dragged over `target`: an element, or null. */
function taker({ target, dataTransfer, ctrlKey, altKey }) {
  const found = target.closest("[data-drop], [data-view=trash]");
  if (dragged) {
    if (!found) return null;
    if (!found.dataset.drop) return may("write") && here.view !== "trash" ? found : null;
    return fits(placeOf(found), ctrlKey || altKey) ? found : null;
  }
  if (!dataTransfer.types.includes("Files")) return null;
  if (found?.dataset.drop && may("write", placeOf(found).drive)) return found;
  return here.view === "files" && !isGone && may("write") ? place("middle") : null;
}

function show(target) {
  if (target === over) return;
  over?.classList.remove("drop");
  over = target;
  over?.classList.add("drop");
  clearTimeout(due);
  const item = over?.closest("[role=treeitem][aria-expanded=false]");
  if (item) due = setTimeout(() => item.querySelector(".twist").dispatchEvent(new MouseEvent("click", { bubbles: true })), LINGER);
}

function begin(event) {
  const row = event.target.closest?.("#files li");
  if (!row || here.view === "trash") return;
  if (!chosen.has(entryOf(row).id)) chooseOnly(row);
  dragged = [...chosen.values()];
  event.dataTransfer.effectAllowed = "copyMove";
  event.dataTransfer.setData("text/plain", dragged.map(({ name }) => name).join("\n"));
  const badge = place("dragged");
  badge.textContent = dragged.length === 1 ? dragged[0].name : fill(words.selected, { count: dragged.length });
  event.dataTransfer.setDragImage(badge, -12, -12);
}

function drop(event) {
  const target = taker(event);
  const isCopy = event.ctrlKey || event.altKey;
  const list = dragged;
  finish();
  if (!target) return;
  event.preventDefault();
  if (!list) {
    const to = target.dataset.drop ? placeOf(target) : { drive: here.drive, path: here.path };
    const found = dropped(event.dataTransfer); // at once: afterwards it is empty
    attempt(async () => take(await found, to));
  } else if (!target.dataset.drop) attempt(() => deed("trash", list));
  else {
    const { drive, path } = placeOf(target);
    attempt(() => deed(isCopy ? "copy" : "move", list, { drive_id: drive, folder_path: path }));
  }
}

function finish() {
  show(null);
  dragged = null;
}

export function listen() {
  page.addEventListener("dragstart", begin);
  page.addEventListener("dragend", finish);
  page.addEventListener("dragover", (event) => {
    const target = taker(event);
    show(target);
    if (!target) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = dragged && !(event.ctrlKey || event.altKey) ? "move" : "copy";
  });
  page.addEventListener("dragleave", (event) => !page.contains(event.relatedTarget) && show(null));
  page.addEventListener("drop", drop);
  // A file that misses the page is not opened instead of it.
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
}
