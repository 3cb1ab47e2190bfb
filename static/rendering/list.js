// The list of tasks: narrowed, a page at a time, live.

import { callSignedIn } from "../accounts/api.js";
import { element, place, timeText } from "../accounts/parts.js";
import { chooseScene } from "./scenes.js";
import { engineText, filled, moneyText, showStatus, words } from "./texts.js";

const PAGE = 20;
const MOST = 100; // what one answer holds
const SETTLE = 300; // milliseconds in which several events make one look
const OVER = ["completed", "failed", "cancelled"];
const rows = new Map(); // what shows a task, by its id
let door = null;
let status = "";
let total = 0;
let due = 0;

function url(skip, limit) {
  const query = new URLSearchParams({ skip, limit });
  if (status) query.set("status", status);
  const search = place("keyword").value.trim();
  if (search) query.set("search", search);
  return `/api/v1/tasks?${query}`;
}

function costText({ status_name, actual_cost, estimated_cost }) {
  if (OVER.includes(status_name)) return moneyText(actual_cost ?? 0);
  return estimated_cost === null ? "" : filled(place("rows").dataset.estimate, { cost: moneyText(estimated_cost) });
}

class Row {
  constructor() {
    this.item = element("li", "", "task");
    this.tag = element("span");
    this.link = element("a", "", "name");
    this.about = element("small");
    this.bar = element("progress");
    this.bar.max = 100;
    this.count = element("span", "", "count");
    this.cost = element("span", "", "cost");
    const title = element("div", "", "about");
    title.append(this.link, this.about);
    const way = element("div", "", "way");
    way.append(this.bar, this.count);
    this.item.append(this.tag, title, way, this.cost);
  }

  show(task) {
    this.task = task;
    showStatus(this.tag, task.status_name);
    this.link.textContent = task.task_name || task.scene_file;
    this.link.href = `#/${task.id}`;
    const priority = task.priority === 1 ? "" : filled(place("rows").dataset.priority, { priority: words[`priority${task.priority}`] });
    this.about.textContent = [engineText(task), timeText(task.created_at), priority].filter(Boolean).join(" · ");
    this.bar.value = task.progress;
    this.bar.className = task.status_name;
    this.bar.setAttribute("aria-label", this.link.textContent);
    this.bar.hidden = task.status_name === "draft";
    const { done_frames: done, total_frames: of } = task;
    this.count.textContent = of ? filled(words.frames, { done, total: of }) : task.frames;
    this.cost.textContent = costText(task);
  }
}

function add(tasks) {
  for (const task of tasks) {
    const row = rows.get(task.id) ?? new Row();
    rows.set(task.id, row);
    row.show(task);
    place("rows").append(row.item);
  }
  place("more").hidden = rows.size >= total;
}

/** The first `count` rows as they are now; rows that are there keep their place under the finger. */
async function load(count) {
  const asked = url(0, Math.min(Math.max(count, PAGE), MOST));
  const answer = await callSignedIn("GET", asked);
  if (asked !== url(0, Math.min(Math.max(count, PAGE), MOST))) return;
  total = answer.total;
  const kept = new Set(answer.tasks.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (kept.has(id)) continue;
    row.item.remove();
    rows.delete(id);
  }
  add(answer.tasks);
  const isNarrowed = Boolean(status || place("keyword").value.trim());
  place("nothing").hidden = total > 0 || isNarrowed;
  place("no-hits").hidden = total > 0 || !isNarrowed;
}

export const enter = () => load(PAGE);
export const refresh = () => load(rows.size);

export function leave() {
  clearTimeout(due);
  due = 0;
}

function lookSoon() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    refresh().catch(() => {}); // the next look tells
  }, SETTLE);
}

export function hear(event, data) {
  const row = rows.get(data.task_id);
  if (event === "task:progress" && row) {
    const { progress, done_frames, failed_frames, total_frames } = data;
    row.show({ ...row.task, progress, done_frames, failed_frames, total_frames });
    return;
  }
  if (event === "task:status" && row) {
    if (["completed", "failed", "paused"].includes(data.status)) door.tell(row.link.textContent, data.status);
    row.show({ ...row.task, status_name: data.status });
  }
  if (event !== "task:log" && event !== "task:progress") lookSoon();
}

export function begin(given) {
  door = given;
  for (const chip of place("filter").children) {
    chip.addEventListener("click", () => {
      for (const other of place("filter").children) other.setAttribute("aria-pressed", String(other === chip));
      status = chip.dataset.status;
      door.attempt(() => load(PAGE));
    });
  }
  place("search").addEventListener("submit", (event) => {
    event.preventDefault();
    door.attempt(() => load(PAGE));
  });
  place("keyword").addEventListener("search", () => place("search").requestSubmit());
  place("more").addEventListener("click", () => door.attempt(async () => {
    const answer = await callSignedIn("GET", url(rows.size, PAGE));
    total = answer.total;
    add(answer.tasks);
  }));
  place("new-task").addEventListener("click", () => door.attempt(async () => {
    const scene = await chooseScene();
    if (scene) door.go(`#new/${scene.id}`);
  }));
}
