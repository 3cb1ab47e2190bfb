// Uploads that a closed window left unfinished. A browser keeps no files: they are chosen again, and what is missing is sent.

import { ApiError, callSignedIn } from "../accounts/api.js";
import { askSure } from "../accounts/dialogs.js";
import { everything } from "../accounts/lists.js";
import { heldLocks } from "../accounts/locks.js";
import { fill, query } from "../accounts/parts.js";
import { queued, showPanel } from "./batches.js";
import { changed } from "./here.js";
import { picked } from "./incoming.js";
import { button, element, place, sizeText, timeText } from "./parts.js";
import { attempt, say } from "./saying.js";
import { homeOf, lockOf, sendFiles, TASKS } from "./uploading.js";

const MOST = 10; // uploads that are shown
const MOST_NAMED = 50; // missing files of each
const ROWS = 1000; // files that are asked for at once
const SEEN = "unfinished_seen"; // in the session storage: they were closed, and are not shown again unasked
const list = place("unfinished");
const inHand = new Set(); // ids of tasks whose files are sent here, or wait for their turn
let wanted = null; // the task whose files are chosen
let visit = 0;

const filesOf = (task) => everything(`${TASKS}/${task.id}/files`, "files", ROWS);
const endsIn = (path, end) => path === end || path.endsWith(`/${end}`);
const pathOf = ({ local_path, virtual_path }) => (local_path || virtual_path).replaceAll("\\", "/").normalize("NFC");
const keyOf = (path, size) => `${size} ${path.slice(path.lastIndexOf("/") + 1)}`;

/**
 * What was picked for each file of a task, by its id: of the same size, and with a path that is the end of the other's or
 * the other way round. What might be another is left out: nothing may land under a wrong name.
 */
function pairs(rows, files) {
  const byKey = new Map();
  for (const row of rows) {
    const key = keyOf(pathOf(row), row.file_size);
    byKey.set(key, [...(byKey.get(key) ?? []), row]);
  }
  const picks = new Map();
  for (const each of files) {
    const home = homeOf(each);
    const like = (byKey.get(keyOf(home, each.file.size)) ?? []).filter((row) => endsIn(pathOf(row), home) || endsIn(home, pathOf(row)));
    const exact = like.filter((row) => pathOf(row) === home);
    const isSure = exact.length > 0 || like.length === 1;
    for (const { id } of exact.length ? exact : like) picks.set(id, [...(picks.get(id) ?? []), isSure && each.file]);
  }
  return new Map([...picks].filter(([, found]) => found.length === 1 && found[0]).map(([id, [file]]) => [id, file]));
}

/** Send what is missing of a task, which is not shown until then. */
function take(task, files) {
  inHand.add(task.id);
  queued(task.task_name, (hear) => goOn(task, files, hear).finally(() => inHand.delete(task.id)));
  attempt(load);
}

async function goOn(task, files, hear) {
  if (task.paused_at) await callSignedIn("PUT", `${TASKS}/${task.id}/resume`);
  const rows = await filesOf(task);
  const found = pairs(rows, files);
  const begun = Date.parse(task.created_at);
  const landed = rows.filter((row) => row.is_completed);
  const missing = rows.filter((row) => !row.is_completed);
  const items = missing.filter(({ id }) => found.has(id)).map(({ id, virtual_path: path, is_failed: isFailed }) => {
    const file = found.get(id);
    return { file, id, path, isFailed, isChanged: file.lastModified > begun };
  });
  if (!items.length) throw new ApiError(0, { detail: list.dataset.none, code: "not_these_files" }, 0);
  const isDone = await sendFiles(task, items, { done: landed.length, size: task.uploaded_size }, hear);
  const count = missing.length - items.length;
  if (isDone && count) say(fill(list.dataset.still, { count }));
  return isDone;
}

function choose(task, picker) {
  wanted = task;
  place(picker).click();
}

function missingOf(task) {
  const made = element("details");
  const names = element("ul", "", "faults");
  made.append(element("summary", list.dataset.missing), names);
  made.addEventListener("toggle", () => attempt(async () => {
    if (!made.open || names.children.length) return;
    const missing = (await filesOf(task)).filter((row) => !row.is_completed);
    names.append(...missing.slice(0, MOST_NAMED).map((row) => element("li", pathOf(row))));
    const count = missing.length - MOST_NAMED;
    if (count > 0) names.append(element("li", fill(list.dataset.rest, { count })));
  }));
  return made;
}

async function discard(task) {
  if (!(await askSure("discard", { name: task.task_name }))) return;
  await callSignedIn("PUT", `${TASKS}/${task.id}/cancel`);
  changed();
  await load();
}

function row(task, { uploaded_files: done, remaining_size }) {
  const item = element("li");
  const about = element("div", "", "about");
  const values = { done, total: task.total_files, size: sizeText(remaining_size), time: timeText(task.expires_at) };
  about.append(element("b", task.task_name), element("small", fill(list.dataset.text, values)));
  const acts = element("div", "", "choices");
  acts.append(
    button(list.dataset.folder, "button small", () => choose(task, "again-folder")),
    button(list.dataset.files, "button small", () => choose(task, "again-files")),
    button(list.dataset.discard, "button quiet small", () => attempt(() => discard(task))),
  );
  item.append(about, acts, missingOf(task));
  return item;
}

/** Show what nobody is sending: a window that sends holds a lock. */
async function load() {
  const mine = ++visit;
  const asked = ["uploading", "pending"].map((status) => callSignedIn("GET", `${TASKS}?${query({ status, limit: MOST })}`));
  const open = (await Promise.all(asked)).flatMap(({ tasks }) => tasks);
  const held = await heldLocks();
  const left = open.filter(({ id }) => !inHand.has(id) && !held.has(lockOf(id))).slice(0, MOST);
  const progress = await Promise.all(left.map(({ id }) => callSignedIn("GET", `${TASKS}/${id}/progress`)));
  if (mine !== visit) return;
  list.replaceChildren(...left.map((task, at) => row(task, progress[at])));
  place("unfinished-box").hidden = !left.length;
  if (left.length && !sessionStorage.getItem(SEEN)) showPanel();
}

/** Look for them now, and whenever a batch is over. */
export function begin() {
  for (const name of ["again-files", "again-folder"]) {
    place(name).addEventListener("change", ({ target }) => {
      const [task, files] = [wanted, picked(target.files)];
      target.value = "";
      if (files.length) take(task, files);
    });
  }
  place("upload-close").addEventListener("click", () => sessionStorage.setItem(SEEN, "1"));
  addEventListener("batch-over", () => attempt(load));
  return attempt(load);
}
