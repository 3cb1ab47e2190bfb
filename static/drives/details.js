// What is known of a file or folder: how large, since when, which digest, what it was before and who did what to it.

import { callSignedIn } from "../accounts/api.js";
import { copyText, fill } from "../accounts/parts.js";
import { driveOf, go } from "./here.js";
import { lead } from "./listing.js";
import { operationText } from "./operations.js";
import { button, element, icon, kindOf, picture, place, sizeText, timeText } from "./parts.js";
import { attempt, say, words } from "./saying.js";

const panel = place("details");
const facts = place("facts");
const REST = 150; // milliseconds that a choice rests until it is looked up
const LAST = 5; // operations that are shown
let shown = ""; // what is shown, as told by `keyOf`
let due = 0;

export const isOpen = () => !panel.hidden;
const keyOf = (entries) => entries.map(({ id, modified_at, name }) => `${id} ${modified_at} ${name}`).join();

function fact(name, ...value) {
  const pair = element("div");
  const told = element("dd");
  told.append(...value);
  pair.append(element("dt", facts.dataset[name]), told);
  return pair;
}

/** A digest, which is too long to read, to copy. */
function digest(text) {
  const made = button(`${text.slice(0, 10)}…`, "link digest", async () => {
    await copyText(text);
    say(words.copied);
  });
  made.title = text;
  return made;
}

/** How large a folder is, counted when somebody asks. */
function counted(entry) {
  const ask = button(facts.dataset.count, "button quiet small", () => attempt(async () => {
    ask.disabled = true;
    ask.setAttribute("aria-busy", "true");
    try {
      const { size, file_count, folder_count } = await callSignedIn("GET", `/api/v1/files/${entry.id}/size`);
      ask.replaceWith(fill(facts.dataset.counted, { size: sizeText(size), files: file_count, folders: folder_count }));
    } finally {
      ask.disabled = false;
      ask.removeAttribute("aria-busy");
    }
  }));
  return ask;
}

function factsOf(entry) {
  const found = [fact("kind", words[`kind${kindOf(entry)}`])];
  found.push(fact("size", entry.is_folder ? counted(entry) : sizeText(entry.size)));
  if (entry.trashed_at) found.push(fact("trashed", timeText(entry.trashed_at)));
  found.push(fact("place", button(`${driveOf(entry.drive_id)?.name ?? ""} ${entry.folder_path}`, "link", () => lead(entry))));
  found.push(fact("modified", timeText(entry.modified_at)), fact("created", timeText(entry.created_at)));
  if (entry.sha256) found.push(fact("sha256", digest(entry.sha256)));
  if (entry.md5) found.push(fact("md5", digest(entry.md5)));
  return found;
}

async function drawn(entry, mine) {
  const frame = place("details-picture");
  frame.replaceChildren(icon(kindOf(entry)));
  frame.className = `face-${kindOf(entry)}`;
  if (!entry.preview_url || entry.trashed_at) return;
  const url = await picture(callSignedIn, entry.preview_url, 480);
  if (!url || mine !== shown) return;
  const image = new Image();
  image.alt = "";
  image.src = url;
  await image.decode();
  if (mine === shown) frame.replaceChildren(image);
}

async function versions(entry, mine) {
  place("details-versions").hidden = true;
  if (entry.is_folder || entry.trashed_at) return;
  const { total } = await callSignedIn("GET", `/api/v1/files/${entry.id}/versions?limit=1`);
  if (mine !== shown) return;
  place("details-versions").textContent = fill(place("details-versions").dataset.text, { count: total });
  place("details-versions").hidden = !total;
}

async function history(entry, mine) {
  const list = place("details-log");
  list.replaceChildren();
  const query = new URLSearchParams({ target_id: entry.id, limit: LAST });
  const { operations, total } = await callSignedIn("GET", `/api/v1/drives/${entry.drive_id}/operations?${query}`);
  if (mine !== shown) return;
  list.replaceChildren(...operations.map((operation) => {
    const item = element("li");
    item.append(element("b", operationText(operation)), element("small", timeText(operation.created_at)));
    return item;
  }));
  place("details-done").hidden = !total;
  place("details-all").hidden = total <= LAST;
  place("details-all").onclick = () => go({ view: "log", drive: entry.drive_id, rest: entry.id });
}

function showMany(entries) {
  const size = entries.reduce((sum, entry) => sum + entry.size, 0);
  const folders = entries.filter(({ is_folder }) => is_folder).length;
  place("details-name").textContent = fill(words.selected, { count: entries.length });
  place("details-picture").replaceChildren(icon("copy"));
  place("details-picture").className = "";
  facts.replaceChildren(fact("size", sizeText(size)), ...(folders ? [fact("folders", String(folders))] : []));
}

function look(entries) {
  const mine = keyOf(entries);
  if (mine === shown) return;
  shown = mine;
  const [entry] = entries;
  const isOne = entries.length === 1;
  place("details-none").hidden = entries.length > 0;
  place("details-some").hidden = !entries.length;
  place("details-more").hidden = !isOne;
  if (!entries.length) return;
  if (!isOne) {
    showMany(entries);
    return;
  }
  place("details-name").textContent = entry.name;
  facts.replaceChildren(...factsOf(entry));
  drawn(entry, mine).catch(() => {}); // the sign of its kind stays
  attempt(() => Promise.all([versions(entry, mine), history(entry, mine)]));
}

/** Show what is chosen, once the choice rests. */
export function follow(entries) {
  clearTimeout(due);
  if (isOpen()) due = setTimeout(() => look(entries), REST);
}

export function toggle(entries, on = panel.hidden) {
  panel.hidden = !on;
  localStorage.setItem("drive_details", on ? "1" : "");
  place("toggle-details").setAttribute("aria-pressed", String(on));
  shown = "";
  if (on) look(entries);
}

export function begin({ chosen, versions: showVersions }) {
  place("details-close").addEventListener("click", () => toggle([], false));
  place("toggle-details").addEventListener("click", () => toggle(chosen()));
  place("details-versions").addEventListener("click", () => showVersions());
  if (localStorage.getItem("drive_details") && matchMedia("(min-width: 1100px)").matches) toggle([], true);
}

/** Look anew at what is chosen, since it may have changed. */
export function again(entries) {
  shown = "";
  follow(entries);
}
