// /drive: the file manager of whoever is signed in. The place is in the address: #/<drive>/<path>, #favourites/<drive>,
// or #trash/<drive>.

import { callSignedIn, isSignedIn, signInFirst } from "../accounts/api.js";
import { askName, askSure, shareEntry } from "./dialogs.js";
import { showNetwork } from "./network.js";
import { Thumbnails, button, element, picture, place, sizeText, timeText } from "./parts.js";
import { choosePlace } from "./places.js";
import { upload } from "./uploading.js";
import { bringBack } from "./versions.js";

const PAGE = 200;
const MOST_AT_ONCE = 500; // what one call of /files/bulk takes
// What can be done where; among files it is all but what belongs to the trash.
const TOOLS = {
  favourites: ["render", "download", "share", "rename", "versions", "trash"],
  trash: ["restore", "purge", "empty"],
};
const SCENE = /\.(blend|ma|mb)$/i;
const page = place("drive");
const words = page.dataset;
const thumbnails = new Thumbnails(callSignedIn);
let drives = [];
let home = ""; // the drive that is shown where the address names none
let here = { drive: "", path: "/", view: "files" };
let keyword = "";
let shown = [];
let total = 0;
const chosen = new Map(); // entries by id

function fail(error) {
  if (error.status === 401) {
    signInFirst(words.login);
    return;
  }
  place("refused").textContent = error.message;
  place("refused").hidden = false;
}

/** Do `act`, and say what went wrong with it. */
async function attempt(act) {
  place("refused").hidden = true;
  try {
    return await act();
  } catch (error) {
    return fail(error);
  }
}

// --- Where we are ---

function readAddress() {
  const [kind, drive, ...names] = location.hash.replace(/^#/, "").split("/").map(decodeURIComponent);
  const known = drives.some(({ id }) => id === drive) ? drive : home;
  return { drive: known, path: `/${names.filter(Boolean).join("/")}`, view: kind in TOOLS ? kind : "files" };
}

function addressOf({ drive, path, view }) {
  const names = path.split("/").filter(Boolean).map(encodeURIComponent);
  return `#${[view in TOOLS ? view : "", drive, ...names].join("/")}`;
}

function go(change) {
  const target = addressOf({ ...here, ...change });
  if (location.hash === target) attempt(load);
  else location.hash = target;
}

function showDrive() {
  const { used_size, total_size } = drives.find(({ id }) => id === here.drive);
  const text = total_size === null ? words.unlimited : words.used.replace("{total}", sizeText(total_size));
  place("used").textContent = text.replace("{used}", sizeText(used_size));
  place("quota").value = total_size ? used_size / total_size : 0;
  place("quota").hidden = total_size === null;
  place("drives").value = here.drive;
}

async function loadDrives() {
  home = (await callSignedIn("GET", "/api/v1/drives/default")).id; // whoever has none gets one
  drives = (await callSignedIn("GET", "/api/v1/drives?limit=100")).drives;
  place("drives").replaceChildren(...drives.map(({ id, name, drive_letter }) => {
    const option = element("option", drive_letter ? `${name} (${drive_letter})` : name);
    option.value = id;
    return option;
  }));
}

// --- The list ---

function listUrl(skip) {
  const page = { skip, limit: PAGE };
  if (here.view === "trash") return `/api/v1/drives/${here.drive}/trash?${new URLSearchParams(page)}`;
  if (here.view === "favourites") return `/api/v1/files/favourites?${new URLSearchParams(page)}`;
  const query = keyword ? { drive_id: here.drive, keyword } : { drive_id: here.drive, folder_path: here.path, sort: place("sort").value };
  return `/api/v1/files?${new URLSearchParams({ ...query, ...page })}`;
}

/** Choose `shown` anew; what arrives after one has gone elsewhere is not shown. */
async function load() {
  const asked = addressOf(here) + keyword;
  const answer = await callSignedIn("GET", listUrl(0));
  if (asked !== addressOf(here) + keyword) return;
  chosen.clear();
  shown = [];
  place("files").replaceChildren();
  add(answer);
}

function add(answer) {
  total = answer.total;
  shown.push(...answer.files);
  place("files").append(...answer.files.map(row));
  place("more").hidden = shown.length >= total;
  place("empty").hidden = total > 0;
  const text = answer.truncated ? words.cut : words.total;
  place("count").textContent = text.replace("{count}", total);
  showTools();
}

function row(entry) {
  const inTrash = here.view === "trash";
  const item = element("li");
  const tick = element("input");
  tick.type = "checkbox";
  tick.setAttribute("aria-label", entry.name);
  tick.addEventListener("change", () => {
    if (tick.checked) chosen.set(entry.id, entry);
    else chosen.delete(entry.id);
    item.classList.toggle("chosen-row", tick.checked);
    showTools();
  });
  const about = element("div", "", "about");
  const name = inTrash ? element("b", entry.name) : button(entry.name, "link", () => attempt(() => open(entry)));
  const kind = entry.is_folder ? words.folder : sizeText(entry.size);
  about.append(name, element("small", [kind, ...whereabouts(entry)].join(" · ")));
  item.append(tick, thumbnails.of(inTrash ? { ...entry, preview_url: null } : entry), about);
  item.append(element("span", timeText(entry.trashed_at ?? entry.modified_at), "side"));
  if (!inTrash) item.append(star(entry));
  return item;
}

/** What a list of many folders says of each entry. */
function whereabouts(entry) {
  if (here.view === "favourites") return [drives.find(({ id }) => id === entry.drive_id)?.name ?? "", entry.folder_path];
  return here.view === "trash" || keyword ? [entry.folder_path] : [];
}

function star(entry) {
  const made = button("", "star", () => attempt(async () => {
    await callSignedIn(entry.is_favourite ? "DELETE" : "PUT", `/api/v1/files/${entry.id}/favourite`);
    entry.is_favourite = !entry.is_favourite;
    show();
  }));
  made.setAttribute("aria-label", words.star.replace("{name}", entry.name));
  const show = () => made.setAttribute("aria-pressed", String(entry.is_favourite));
  show();
  return made;
}

async function open(entry) {
  if (entry.is_folder) {
    leaveSearch();
    const path = `${entry.folder_path === "/" ? "" : entry.folder_path}/${entry.name}`;
    go({ view: "files", drive: entry.drive_id, path });
    return;
  }
  const url = entry.preview_url && (await picture(callSignedIn, entry.preview_url, 1600));
  if (!url) {
    await download([entry]);
    return;
  }
  place("picture").src = url;
  place("picture").alt = entry.name;
  place("preview").showModal();
}

function showTrail() {
  const names = here.path.split("/").filter(Boolean);
  const steps = [words.root, ...names].map((name, at) =>
    button(name, "link", () => go({ path: `/${names.slice(0, at).join("/")}` })));
  place("trail").replaceChildren(...steps);
  place("trail").hidden = here.view !== "files" || Boolean(keyword);
}

function fits(needs) {
  const [first] = chosen.values();
  if (needs === "file") return chosen.size === 1 && !first.is_folder;
  if (needs === "scene") return chosen.size === 1 && !first.is_folder && SCENE.test(first.name);
  return needs === "one" ? chosen.size === 1 : needs !== "some" || chosen.size > 0;
}

function showTools() {
  for (const tool of page.querySelectorAll("[data-act]")) {
    const { act, needs } = tool.dataset;
    const belongs = TOOLS[here.view]?.includes(act) ?? !TOOLS.trash.includes(act);
    tool.hidden = !belongs || !fits(needs) || (act === "empty" && !total);
  }
  place("chosen").textContent = chosen.size ? words.selected.replace("{count}", chosen.size) : "";
  place("all").checked = chosen.size > 0 && chosen.size === shown.length;
  place("all").indeterminate = chosen.size > 0 && chosen.size < shown.length;
  place("all").closest("label").hidden = !total;
}

async function refresh() {
  await Promise.all([load(), loadDrives()]);
  showDrive();
}

function leaveSearch() {
  keyword = "";
  place("keyword").value = "";
}

async function arrive() {
  here = readAddress();
  for (const tab of page.querySelectorAll("[data-view]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === here.view));
  }
  place("search").hidden = place("sorting").hidden = here.view !== "files";
  showDrive();
  showTrail();
  await load();
}

// --- What is done ---

/** The same to all that is selected, and what did not go. */
async function bulk(action, more = {}) {
  const ids = [...chosen.keys()];
  const refused = [];
  for (let start = 0; start < ids.length; start += MOST_AT_ONCE) {
    const body = { action, ids: ids.slice(start, start + MOST_AT_ONCE), ...more };
    const { results } = await callSignedIn("POST", "/api/v1/files/bulk", body);
    refused.push(...results.filter((result) => !result.success));
  }
  await refresh();
  if (refused.length) {
    const text = words.failed.replace("{count}", refused.length);
    fail({ message: text.replace("{reason}", refused[0].detail) });
  }
}

async function download(entries) {
  const [first] = entries;
  const alone = entries.length === 1 && !first.is_folder;
  const link = alone
    ? await callSignedIn("GET", `/api/v1/files/${first.id}/download`)
    : await callSignedIn("POST", "/api/v1/files/archive", { ids: entries.map(({ id }) => id) });
  location.assign(link.download_url);
}

async function toPlace(action) {
  const folder = await choosePlace(action, here.drive, words.root);
  if (folder !== null) await bulk(action, { folder_path: folder, drive_id: here.drive, on_clash: "keep_both" });
}

const acts = {
  upload: () => place("pick-files").click(),
  "upload-folder": () => place("pick-folder").click(),
  async make() {
    const body = (file_name) => ({ drive_id: here.drive, folder_path: here.path, file_name });
    if (await askName("make", "", (name) => callSignedIn("POST", "/api/v1/files", body(name)))) await refresh();
  },
  network: showNetwork,
  async rename() {
    const [entry] = chosen.values();
    const act = (file_name) => callSignedIn("PUT", `/api/v1/files/${entry.id}`, { file_name });
    if (await askName("rename", entry.name, act)) await refresh();
  },
  share() {
    const [entry] = chosen.values();
    return shareEntry(entry, entry.drive_id);
  },
  async versions() {
    const [entry] = chosen.values();
    if (await bringBack(entry)) await refresh();
  },
  render: () => location.assign(`${words.tasks}#new/${[...chosen.keys()][0]}`),
  download: () => download([...chosen.values()]),
  move: () => toPlace("move"),
  copy: () => toPlace("copy"),
  trash: () => bulk("trash"),
  restore: () => bulk("restore", { on_clash: "keep_both" }),
  async purge() {
    if (await askSure("purge")) await bulk("purge");
  },
  async empty() {
    if (!(await askSure("empty"))) return;
    await callSignedIn("DELETE", `/api/v1/drives/${here.drive}/trash`);
    await refresh();
  },
};

// --- Uploads ---

function tellUpload({ done, total: count, sent, size, failed, reason }) {
  const says = place("upload-says");
  const over = done + failed === count;
  const text = !over ? says.dataset.going : failed ? says.dataset.failed : says.dataset.done;
  says.textContent = text.replace("{done}", done).replace("{total}", count).replace("{failed}", failed).replace("{reason}", reason);
  place("upload-bar").value = size ? sent / size : Number(over);
  place("upload-close").hidden = !over;
  place("uploads").hidden = false;
}

let queue = Promise.resolve();

/** One after the other: a second choice waits for the first. */
function take(files) {
  if (!files.length || here.view !== "files") return;
  const { drive, path } = here;
  queue = queue.then(() => attempt(async () => {
    await upload(drive, path, files, tellUpload);
    await refresh();
  }));
}

function listen() {
  for (const tool of page.querySelectorAll("[data-act]")) {
    tool.addEventListener("click", () => attempt(acts[tool.dataset.act]));
  }
  for (const tab of page.querySelectorAll("[data-view]")) {
    tab.addEventListener("click", () => {
      leaveSearch();
      go({ path: "/", view: tab.dataset.view });
    });
  }
  for (const name of ["pick-files", "pick-folder"]) {
    place(name).addEventListener("change", ({ target }) => {
      take([...target.files]);
      target.value = "";
    });
  }
  place("drives").addEventListener("change", ({ target }) => {
    leaveSearch();
    go({ drive: target.value, path: "/" });
  });
  place("sort").addEventListener("change", () => attempt(load));
  place("search").addEventListener("submit", (event) => {
    event.preventDefault();
    keyword = place("keyword").value.trim();
    showTrail();
    attempt(load);
  });
  place("keyword").addEventListener("search", () => place("search").requestSubmit());
  place("all").addEventListener("change", ({ target }) => {
    const wanted = target.checked; // each tick has its own say about `target`
    for (const tick of place("files").querySelectorAll("input")) if (tick.checked !== wanted) tick.click();
  });
  place("more").addEventListener("click", () => attempt(async () => add(await callSignedIn("GET", listUrl(shown.length)))));
  place("upload-close").addEventListener("click", () => (place("uploads").hidden = true));
  addEventListener("hashchange", () => attempt(arrive));
  page.addEventListener("dragover", (event) => {
    event.preventDefault();
    page.classList.add("drop");
  });
  page.addEventListener("dragleave", () => page.classList.remove("drop"));
  page.addEventListener("drop", (event) => {
    event.preventDefault();
    page.classList.remove("drop");
    take([...event.dataTransfer.files].filter((file) => file.size || file.type));
  });
}

async function start() {
  await loadDrives();
  listen();
  page.hidden = false;
  await arrive();
}

if (isSignedIn()) attempt(start);
else signInFirst(words.login);
