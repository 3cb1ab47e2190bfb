// The log of a drive: who did what and when, of all or of one file.

import { callSignedIn } from "../accounts/api.js";
import { deviceName } from "../accounts/devices.js";
import { fill } from "../accounts/parts.js";
import { addressOf, go, here, parentOf } from "./here.js";
import { button, element, icon, place, sizeText, timeText } from "./parts.js";
import { attempt } from "./saying.js";

const PAGE = 50;
const list = place("operations");
const SIGNS = {
  create: "new-folder", upload: "upload", rename: "rename", move: "move", copy: "copy", trash: "trash",
  restore: "restore", purge: "trash", revert: "versions", download: "download",
};
let person = null; // { id, name } whose operations alone are shown
let total = 0;
let visit = 0;

/** What somebody did, without to what. */
export const operationText = ({ actor_name, action }) =>
  fill(list.dataset[action], { who: actor_name || list.dataset.nobody });

function url(skip) {
  const query = new URLSearchParams({ skip, limit: PAGE });
  if (here.rest) query.set("target_id", here.rest);
  if (person) query.set("actor_id", person.id);
  if (place("log-action").value) query.set("action", place("log-action").value);
  return `/api/v1/drives/${here.drive}/operations?${query}`;
}

function row(operation) {
  const { path, new_path, size, device, created_at, actor_id, actor_name, target_id } = operation;
  const item = element("li");
  const about = element("div", "", "about");
  const title = element("b", operationText(operation));
  const where = element("a", new_path ? `${path} → ${new_path}` : path, "way");
  where.href = addressOf({ view: "files", drive: here.drive, path: parentOf(new_path || path) });
  const more = element("small", [size ? sizeText(size) : "", deviceName(device)].filter(Boolean).join(" · "));
  about.append(title, where, more);
  const narrow = element("div", "", "narrow");
  if (!here.rest) narrow.append(button(list.dataset.ofFile, "link", () => go({ view: "log", rest: target_id })));
  if (actor_id && !person) {
    narrow.append(button(fill(list.dataset.ofPerson, { who: actor_name }), "link", () => narrowTo({ id: actor_id, name: actor_name })));
  }
  item.append(icon(SIGNS[operation.action] ?? "file"), about, narrow, element("span", timeText(created_at), "side"));
  return item;
}

function add(answer) {
  total = answer.total;
  list.append(...answer.operations.map(row));
  place("log-more").hidden = list.children.length >= total || !answer.operations.length;
  place("no-operations").hidden = total > 0;
  place("log-count").textContent = fill(list.dataset.total, { count: total });
}

/** Show the log of here; what arrives after one has gone elsewhere is not shown. */
export async function load() {
  const mine = ++visit;
  const answer = await callSignedIn("GET", url(0));
  if (mine !== visit) return;
  place("log-all").hidden = !here.rest && !person;
  place("log-of").textContent = [person?.name, here.rest && list.dataset.one].filter(Boolean).join(" · ");
  list.replaceChildren();
  add(answer);
}

function narrowTo(wanted) {
  person = wanted;
  return attempt(load);
}

export function leave() {
  person = null;
  visit++;
}

place("log-action").addEventListener("change", () => attempt(load));
place("log-all").addEventListener("click", () => {
  person = null;
  if (here.rest) go({ view: "log" });
  else attempt(load);
});
place("log-more").addEventListener("click", () => attempt(async () => {
  const mine = visit;
  const answer = await callSignedIn("GET", url(list.children.length));
  if (mine === visit) add(answer);
}));
