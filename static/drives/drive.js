// /drive: the file manager of whoever is signed in. What the address says is shown, and looked at anew where it changes.

import { callSignedIn, isSignedIn, signInFirst } from "../accounts/api.js";
import { fill } from "../accounts/parts.js";
import * as choosing from "./choosing.js";
import * as details from "./details.js";
import { listen as listenToDrags } from "./dragging.js";
import { addressOf, driveOf, drives, go, here, home, isOwn, joined, loadDrives, parentOf, readAddress } from "./here.js";
import * as listing from "./listing.js";
import * as operations from "./operations.js";
import { element, place, sizeText } from "./parts.js";
import { attempt, words } from "./saying.js";
import * as sharing from "./sharing.js";
import * as tools from "./tools.js";
import { Tree } from "./tree.js";
import * as unfinished from "./unfinished.js";
import * as viewer from "./viewer.js";

const page = place("drive");
const views = { shares: sharing, log: operations }; // the others are lists of files
const tree = new Tree(place("tree"), {
  attempt,
  enter: (path) => {
    if (narrow.matches) place("tree-box").open = false;
    go({ view: "files", path });
  },
});
const narrow = matchMedia("(max-width: 760px)");
let shown = null; // the view

// --- What stands around the list ---

function groupOf(drive) {
  if (isOwn(drive)) return "own";
  return drive.team_id ? "team" : "shared";
}

function showDrives() {
  const picker = place("drives");
  const groups = Object.groupBy ? Object.groupBy(drives, groupOf) : { own: drives };
  const option = (drive) => {
    const { id, name, drive_letter, owner_name } = drive;
    const more = groupOf(drive) === "own" ? drive_letter : owner_name;
    return new Option(`${id === home ? "★ " : ""}${name}${more ? ` (${more})` : ""}`, id);
  };
  picker.replaceChildren(...["own", "team", "shared"].filter((name) => groups[name]).map((name) => {
    const group = element("optgroup");
    group.label = picker.dataset[name];
    group.append(...groups[name].map(option));
    return group;
  }));
  picker.value = here.drive;
}

function showRoom() {
  const { used_size, reserved_size, total_size } = driveOf(here.drive);
  const text = total_size === null ? words.unlimited : words.used;
  place("used").textContent = fill(text, { used: sizeText(used_size), total: sizeText(total_size ?? 0) });
  const share = total_size ? Math.min((used_size + reserved_size) / total_size, 1) : 0;
  place("quota").value = share;
  place("quota").hidden = total_size === null;
  place("quota").classList.toggle("full", share > 0.9);
}

function showTrail() {
  const names = here.path.split("/").filter(Boolean);
  const step = (name, at) => {
    const address = addressOf({ view: "files", drive: here.drive, path: `/${names.slice(0, at).join("/")}` });
    const link = element("a", name);
    link.href = address;
    link.dataset.drop = address;
    if (at === names.length && here.view === "files") link.setAttribute("aria-current", "page");
    return link;
  };
  const titles = { search: fill(words.found, { words: here.rest }), ...words };
  const steps = here.view === "files" ? [driveOf(here.drive).name, ...names].map(step) : [element("b", titles[here.view])];
  place("trail").replaceChildren(...steps);
  place("trail").scrollLeft = place("trail").scrollWidth;
}

function showTabs() {
  const current = here.view === "search" ? "files" : here.view;
  for (const tab of page.querySelectorAll("[role=tab]")) {
    const isCurrent = tab.dataset.view === current;
    tab.setAttribute("aria-selected", String(isCurrent));
    tab.tabIndex = isCurrent ? 0 : -1;
  }
  place("keyword").value = here.view === "search" ? here.rest : "";
}

// --- Where one arrives ---

async function load() {
  const view = views[here.view] ?? listing;
  if (shown && shown !== view) shown.leave?.();
  shown = view;
  for (const part of page.querySelectorAll("[data-part]")) part.hidden = !part.dataset.part.split(" ").includes(listing.isList() ? "list" : here.view);
  if (view !== listing) choosing.clear();
  await view.load();
  tools.showTools();
}

async function arrive() {
  let file;
  try {
    file = readAddress();
  } catch {
    location.replace("#"); // an address that is none
    return;
  }
  if (file) {
    const entry = await callSignedIn("GET", `/api/v1/files/${encodeURIComponent(file)}`);
    listing.seek(entry.id);
    location.replace(addressOf({ view: "files", drive: entry.drive_id, path: entry.folder_path }));
    return;
  }
  showTabs();
  showDrives();
  showRoom();
  showTrail();
  listing.showOrder();
  const inTree = here.view === "files" ? here.path : "";
  await Promise.all([load(), tree.show(here.drive, inTree)]);
}

/** What lies in the drives has changed. */
async function refresh() {
  const before = here.drive;
  await loadDrives();
  dispatchEvent(new Event("drives-known"));
  if (!driveOf(before)) {
    go({ view: "files", drive: "", path: "/" });
    return;
  }
  showDrives();
  showRoom();
  showTrail();
  await Promise.all([load(), tree.refresh()]);
  details.again(listing.isList() ? [...choosing.chosen.values()] : []);
}

function open(entry) {
  if (here.view === "trash") return;
  if (entry.is_folder) go({ view: "files", drive: entry.drive_id, path: joined(entry.folder_path, entry.name) });
  else viewer.view(entry, listing.shown);
}

/** Keys on a row that are not about choosing. */
function key(event, entry) {
  const name = { F2: "rename", Delete: here.view === "trash" ? "purge" : "trash", i: "details" }[event.key];
  if (event.key === "Backspace" && here.view === "files" && here.path !== "/") go({ path: parentOf(here.path) });
  else if (name && !event.ctrlKey && !event.metaKey) {
    if (!choosing.chosen.has(entry.id)) choosing.chooseOnly(choosing.rowOf(entry.id));
    tools.act(name);
  } else if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) {
    choosing.rowOf(entry.id).querySelector(".dots").click();
  } else return;
  event.preventDefault();
}

function listen() {
  choosing.begin({ changed: tools.showTools, open, key });
  listing.begin({ open, menu: tools.menu });
  viewer.begin({
    download: (entry) => attempt(() => tools.download([entry])),
    render: tools.render,
    show: ({ id }) => choosing.rowOf(id) && choosing.chooseOnly(choosing.rowOf(id)),
  });
  details.begin({ chosen: () => [...choosing.chosen.values()], versions: () => tools.act("versions") });
  tools.listen();
  listenToDrags();
  const tabs = [...page.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => go({ view: tab.dataset.view, ...(tab.dataset.view === here.view && { path: "/" }) }));
    tab.addEventListener("keydown", ({ key: pressed }) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[pressed];
      if (step) tabs.at((tabs.indexOf(tab) + step) % tabs.length).focus();
    });
  }
  place("drives").addEventListener("change", ({ target }) => go({ view: here.view === "search" ? "files" : here.view, drive: target.value, path: "/" }));
  place("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const keyword = place("keyword").value.trim();
    if (keyword) go({ view: "search", rest: keyword });
    else if (here.view === "search") go({ view: "files" });
  });
  place("keyword").addEventListener("search", () => place("search").requestSubmit());
  place("all").addEventListener("change", ({ target }) => (target.checked ? choosing.chooseAll() : choosing.clear()));
  place("tree-box").open = !narrow.matches;
  addEventListener("hashchange", () => attempt(arrive));
  addEventListener("drive-changed", () => attempt(refresh));
}

async function start() {
  await loadDrives();
  listen();
  page.hidden = false;
  await arrive();
  await unfinished.begin();
}

if (isSignedIn()) attempt(start);
else signInFirst(words.login);
