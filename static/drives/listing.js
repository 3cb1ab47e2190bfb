// Folders and files: of a folder, of a search, of all that is marked or in the trash; a page at a time.

import { callSignedIn } from "../accounts/api.js";
import { dayText, fill } from "../accounts/parts.js";
import * as choosing from "./choosing.js";
import { addressOf, driveOf, go, here, joined } from "./here.js";
import { Thumbnails, button, element, icon, place, sizeText, timeText } from "./parts.js";
import { attempt, words } from "./saying.js";

const PAGE = 200;
const MOST_AT_ONCE = 1000; // rows of one answer
const MOST_PAGES = 25; // that are turned to find a row
const list = place("files");
const thumbnails = new Thumbnails(callSignedIn);
export let shown = []; // entries
export let total = 0;
export let isGone = false; // whether the folder is there no more
let listed = ""; // what is shown, as an address
let sought = ""; // the id of the row that is chosen once it is there
let visit = 0;
let doors = null; // { open(entry), menu(event, entry) }

export const isList = (view = here.view) => ["files", "search", "favourites", "trash"].includes(view);
const isPlace = () => here.view === "files";

/** Have the row of this id chosen when its list is there. */
export const seek = (id) => (sought = id);

/** Go to the folder a file or folder lies in, and choose it there. */
export function lead(entry) {
  seek(entry.id);
  go({ view: "files", drive: entry.drive_id, path: entry.folder_path });
}

function url(skip, limit = PAGE) {
  const page = { skip, limit };
  if (here.view === "trash") return `/api/v1/drives/${here.drive}/trash?${new URLSearchParams(page)}`;
  if (here.view === "favourites") return `/api/v1/files/favourites?${new URLSearchParams(page)}`;
  const what = isPlace() ? { folder_path: here.path, sort: place("sort").value } : { keyword: here.rest };
  return `/api/v1/files?${new URLSearchParams({ drive_id: here.drive, ...what, ...page })}`;
}

/** The first rows; of a folder which is gone there are none. */
async function first(count) {
  try {
    return await callSignedIn("GET", url(0, Math.min(Math.max(count, PAGE), MOST_AT_ONCE)));
  } catch (error) {
    if (error.status !== 404) throw error;
    return { files: [], total: 0, isGone: true };
  }
}

/** What an empty list is to people. */
function emptiness({ isGone }) {
  if (isGone) return "gone";
  return isPlace() && here.path !== "/" ? "folder" : here.view;
}

/** Show the list of here; what arrives after one has gone elsewhere is not shown. What is chosen stays so in the same list. */
export async function load() {
  const mine = ++visit;
  const isSame = listed === addressOf(here);
  place("more").hidden = true; // it belongs to the list that goes
  const answer = await first(isSame ? shown.length : 0);
  if (mine !== visit) return;
  const chosen = isSame ? [...choosing.chosen.keys()] : [];
  const focused = document.activeElement?.closest("#files li");
  const kept = sought || (focused ? choosing.entryOf(focused).id : "");
  const old = new Map(isSame ? choosing.rows().map((row) => [choosing.entryOf(row).id, row]) : []);
  listed = addressOf(here);
  shown = [];
  choosing.clear();
  list.replaceChildren();
  add(answer, old);
  choosing.chooseThese(chosen);
  for (let page = 1; sought && !choosing.rowOf(sought) && shown.length < total && page < MOST_PAGES; page++) {
    const next = await callSignedIn("GET", url(shown.length));
    if (mine !== visit) return;
    add(next);
  }
  const row = (kept && choosing.rowOf(kept)) || (focused && list.firstElementChild);
  if (row && sought) choosing.chooseOnly(row);
  if (row) choosing.focusOn(row);
  sought = "";
}

async function more() {
  const mine = visit;
  const answer = await callSignedIn("GET", url(shown.length));
  if (mine === visit) add(answer);
}

/** What is in the list of here beyond what is shown; nothing where one has gone elsewhere meanwhile. */
export async function rest() {
  const mine = visit;
  const found = [];
  let isOver = false;
  while (!isOver) {
    const seen = shown.length + found.length;
    const answer = await callSignedIn("GET", url(seen, MOST_AT_ONCE));
    if (mine !== visit) return [];
    found.push(...answer.files);
    isOver = !answer.files.length || seen + answer.files.length >= answer.total;
  }
  return found;
}

/** What a row says of its entry. */
const looks = ({ name, size, modified_at, trashed_at, folder_path, is_favourite }) =>
  JSON.stringify([name, size, modified_at, trashed_at, folder_path, is_favourite]);

/** Append rows; of those in `old` (by id) that say the same the row stays, with its picture. */
function add(answer, old = new Map()) {
  total = answer.total;
  for (const entry of answer.files) {
    const kept = old.get(entry.id);
    const isKept = kept && looks(choosing.entryOf(kept)) === looks(entry);
    const made = isKept ? kept : row(entry);
    const told = isKept ? Object.assign(choosing.entryOf(kept), entry) : entry;
    choosing.enroll(made, told);
    list.append(made);
    shown.push(told);
  }
  place("grid").setAttribute("aria-rowcount", String(total + 1));
  place("more").hidden = shown.length >= total || !answer.files.length;
  place("grid").hidden = !total;
  for (const empty of document.querySelectorAll("#empty [data-for]")) {
    empty.hidden = empty.dataset.for !== emptiness(answer);
  }
  place("empty").hidden = total > 0;
  isGone = Boolean(answer.isGone);
  place("count").textContent = fill(answer.truncated ? words.cut : words.total, { count: total });
}

const cell = (classes, ...content) => {
  const made = element("span", "", classes);
  made.setAttribute("role", "gridcell");
  made.append(...content);
  return made;
};

function row(entry) {
  const inTrash = here.view === "trash";
  const item = element("li");
  item.setAttribute("role", "row");
  item.setAttribute("aria-label", entry.name);
  item.dataset.id = entry.id;
  item.draggable = !inTrash;
  const path = joined(entry.folder_path, entry.name);
  if (entry.is_folder && !inTrash) item.dataset.drop = addressOf({ view: "files", drive: entry.drive_id, path });
  const tick = element("input");
  Object.assign(tick, { type: "checkbox", tabIndex: -1 });
  tick.setAttribute("aria-label", entry.name);
  const when = entry.trashed_at ?? entry.modified_at;
  const size = entry.is_folder ? "" : sizeText(entry.size);
  const about = element("span", "", "about");
  about.append(title(entry, path), whereabouts(entry), element("small", [size, dayText(when)].filter(Boolean).join(" · "), "facts-line"));
  const picture = thumbnails.of(inTrash ? { ...entry, preview_url: null } : entry);
  const label = element("label", "", "tick-area");
  label.append(tick);
  item.append(
    cell("tick", label), cell("name", picture, about), cell("size", size), cell("time", timeText(when)),
    cell("last", ...(inTrash ? [] : [star(entry)]), menuButton(entry)),
  );
  item.addEventListener("contextmenu", (event) => doors.menu(event, entry));
  return item;
}

function title(entry, path) {
  if (here.view === "trash") return element("b", entry.name);
  const link = element("a", entry.name, "link");
  link.href = entry.is_folder ? addressOf({ view: "files", drive: entry.drive_id, path }) : `#file/${entry.id}`;
  link.draggable = false;
  link.tabIndex = -1; // Enter on the row does the same
  link.title = entry.name;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    doors.open(entry);
  });
  return link;
}

/** What a list of many folders says of each entry: where it lies. */
function whereabouts(entry) {
  if (isPlace()) return "";
  const name = here.view === "favourites" ? `${driveOf(entry.drive_id)?.name ?? ""} ` : "";
  const text = `${name}${entry.folder_path}`;
  if (here.view === "trash") return element("small", text, "where");
  const made = button(text, "where", () => lead(entry));
  made.setAttribute("aria-label", fill(words.lead, { path: text }));
  made.tabIndex = -1;
  return made;
}

function star(entry) {
  const made = button("", "star", () => attempt(async () => {
    await callSignedIn(entry.is_favourite ? "DELETE" : "PUT", `/api/v1/files/${entry.id}/favourite`);
    entry.is_favourite = !entry.is_favourite;
    show();
  }));
  made.append(icon("star"));
  made.tabIndex = -1; // the menu does the same
  made.setAttribute("aria-label", fill(words.star, { name: entry.name }));
  const show = () => made.setAttribute("aria-pressed", String(entry.is_favourite));
  show();
  return made;
}

function menuButton(entry) {
  const made = button("", "dots", (event) => doors.menu(event, entry));
  made.append(icon("more"));
  made.setAttribute("aria-label", fill(words.menu, { name: entry.name }));
  made.setAttribute("aria-haspopup", "menu");
  made.tabIndex = -1; // Shift+F10 on the row does the same
  return made;
}

// --- Order and shape ---

/** Heads of columns and the list of orders say the same. */
export function showOrder() {
  const order = place("sort").value;
  for (const head of document.querySelectorAll("#grid [data-sort]")) {
    const key = head.dataset.sort;
    const way = order.replace("-", "") !== key || !isPlace() ? "none" : order.startsWith("-") ? "descending" : "ascending";
    head.parentElement.setAttribute("aria-sort", way);
    head.disabled = !isPlace();
  }
  place("when").textContent = place("when").dataset[here.view === "trash" ? "trash" : "files"];
  place("sorting").hidden = !isPlace();
}

function order(value) {
  place("sort").value = value;
  localStorage.setItem("drive_order", value);
  showOrder();
  attempt(load);
}

function shape(isTiles) {
  place("grid").classList.toggle("tiles", isTiles);
  place("tiles").setAttribute("aria-pressed", String(isTiles));
  localStorage.setItem("drive_tiles", isTiles ? "1" : "");
}

export function begin(given) {
  doors = given;
  place("sort").value = localStorage.getItem("drive_order") ?? "name";
  if (!place("sort").value) place("sort").value = "name";
  shape(Boolean(localStorage.getItem("drive_tiles")));
  place("sort").addEventListener("change", ({ target }) => order(target.value));
  for (const head of document.querySelectorAll("#grid [data-sort]")) {
    head.addEventListener("click", () => {
      const { sort: key, first } = head.dataset;
      const other = first === "-" ? key : `-${key}`;
      order(place("sort").value === `${first}${key}` ? other : `${first}${key}`);
    });
  }
  place("tiles").addEventListener("click", ({ currentTarget }) => shape(currentTarget.getAttribute("aria-pressed") !== "true"));
  place("more").addEventListener("click", () => attempt(more));
  // Who scrolls to the end sees more without asking.
  new IntersectionObserver(([end]) => end.isIntersecting && !place("more").hidden && place("more").click()).observe(place("more"));
}
