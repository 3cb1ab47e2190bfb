// Which rows are chosen: by mouse, finger and keyboard, as in any file manager.

import { place } from "./parts.js";

const list = place("files");
const entries = new WeakMap(); // what a row shows
export const chosen = new Map(); // entries by id, in the order they were chosen
let anchor = null; // the row from which Shift reaches
let doors = null; // { changed(), open(entry), key(event, entry) }

export const rows = () => [...list.children];
export const entryOf = (row) => entries.get(row);
export const rowOf = (id) => rows().find((row) => entryOf(row).id === id);

/** Let a row be chosen. */
export function enroll(row, entry) {
  entries.set(row, entry);
  row.tabIndex = list.children.length ? -1 : 0;
  set(row, chosen.has(entry.id)); // all of a list may be chosen before its rows are there
}

function set(row, on) {
  const entry = entryOf(row);
  if (on) chosen.set(entry.id, entry);
  else chosen.delete(entry.id);
  row.setAttribute("aria-selected", String(on));
  row.classList.toggle("chosen-row", on);
  row.querySelector(".tick input").checked = on;
}

export function focusOn(row) {
  for (const other of list.querySelectorAll('li[tabindex="0"]')) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function clearRows() {
  for (const row of rows()) if (chosen.has(entryOf(row).id)) set(row, false);
  chosen.clear();
}

export function clear() {
  clearRows();
  anchor = null;
  doors.changed();
}

/** Choose all rows. */
export function chooseAll() {
  for (const row of rows()) set(row, true);
  doors.changed();
}

/** Choose all rows, and entries that have none yet. */
export function chooseAlso(entries) {
  for (const row of rows()) set(row, true);
  for (const entry of entries) chosen.set(entry.id, entry);
  doors.changed();
}

/** Choose what there is of these ids, too. */
export function chooseThese(ids) {
  const wanted = new Set(ids);
  for (const row of wanted.size ? rows() : []) if (wanted.has(entryOf(row).id)) set(row, true);
  doors.changed();
}

/** Choose this row and no other. */
export function chooseOnly(row) {
  clearRows();
  set(row, true);
  anchor = row;
  doors.changed();
}

function toggle(row) {
  set(row, !chosen.has(entryOf(row).id));
  anchor = row;
  doors.changed();
}

/** Choose all from the anchor to this row. */
function reach(row) {
  const all = rows();
  const [first, last] = [all.indexOf(anchor?.isConnected ? anchor : row), all.indexOf(row)].sort((a, b) => a - b);
  clearRows();
  for (const between of all.slice(first, last + 1)) set(between, true);
  anchor ??= row;
  doors.changed();
}

function click(event) {
  const row = event.target.closest("li");
  if (!row || event.target.closest("a, button")) return;
  const isTick = Boolean(event.target.closest(".tick"));
  const isFinger = event.pointerType === "touch" && !isTick;
  if (isFinger && !chosen.size) doors.open(entryOf(row));
  else if (event.shiftKey) reach(row);
  else if (isTick || isFinger || event.ctrlKey || event.metaKey) toggle(row);
  else chooseOnly(row);
  if (!isFinger) focusOn(row);
}

/** Rows that stand side by side: one in a list, several among tiles. */
function columns() {
  const all = rows();
  const next = all.findIndex((row) => row.offsetTop !== all[0].offsetTop);
  return next < 1 ? Math.max(next === -1 ? all.length : 1, 1) : next;
}

const STEPS = {
  ArrowDown: () => columns(),
  ArrowUp: () => -columns(),
  ArrowRight: () => 1,
  ArrowLeft: () => -1,
  PageDown: () => 10,
  PageUp: () => -10,
  Home: () => -Infinity,
  End: () => Infinity,
};

function key(event) {
  const row = event.target.closest("li");
  if (!row || (event.target !== row && (event.key === "Enter" || event.key === " "))) return;
  const isCommand = event.ctrlKey || event.metaKey;
  if (event.key in STEPS && !event.altKey) {
    const all = rows();
    const at = Math.min(Math.max(all.indexOf(row) + STEPS[event.key](), 0), all.length - 1);
    focusOn(all[at]);
    if (event.shiftKey) {
      anchor ??= row;
      reach(all[at]);
    } else if (!isCommand) chooseOnly(all[at]);
  } else if (event.key === " ") toggle(row);
  else if (event.key === "a" && isCommand) chooseAll();
  else if (event.key === "Escape") clear();
  else if (event.key === "Enter") doors.open(entryOf(row));
  else {
    doors.key(event, entryOf(row));
    return;
  }
  event.preventDefault();
}

/** `changed()` hears of another choice, `open(entry)` what is opened, `key(event, entry)` other keys on a row. */
export function begin(given) {
  doors = given;
  list.addEventListener("click", click);
  list.addEventListener("keydown", key);
  list.addEventListener("dblclick", (event) => {
    const row = event.target.closest("li");
    if (row && !event.target.closest("a, button, .tick")) doors.open(entryOf(row));
  });
}
