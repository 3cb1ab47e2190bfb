// The frames of a task as a grid of colours, and one of them at a time with its picture and its tries.

import { callSignedIn } from "../accounts/api.js";
import { element, place, sizeText } from "../accounts/parts.js";
import { picture } from "../drives/parts.js";
import { durationText, filled, showStatus, showText, statusTag, words } from "./texts.js";

const PAGE = 1000; // frames in one answer
const COST = 3; // milliseconds of rest for each frame that is looked at
const LEAST_REST = 1500;
const SMALL = 480; // pixels of the longer side of the picture that comes with a frame
const LARGE = 1600;
const LEGEND = ["waiting", "ready", "running", "done", "failed", "cancelled"];
const grid = place("grid");
let door = null;
let task = null;
let cells = new Map(); // by step and number
let groups = new Map(); // the grids of the steps
let total = 0;
let due = 0;
let shown = null; // the frame in the dialog

const url = (part) => `/api/v1/tasks/${task.id}/${part}`;
const key = ({ step, number }) => `${number}:${step}`;
const query = (values) => new URLSearchParams(values).toString();

// --- The grid ---

class Cell {
  constructor(frame) {
    this.button = element("button", frame.number);
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.addEventListener("click", () => door.attempt(() => open(this)));
  }

  show(frame) {
    this.frame = frame;
    const { dataset } = grid;
    const { number, status, progress } = frame;
    const isRunning = status === "running";
    const label = filled(dataset.label, { number, status: words[status] }) + (isRunning ? ` ${Math.round(progress)} %` : "");
    this.button.className = `cell ${status}`;
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
    this.button.style.setProperty("--over", isRunning ? `${progress}%` : "0%");
  }
}

function groupOf(step) {
  if (!groups.has(step)) {
    const group = element("div", "", "cells");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", step);
    const title = element("h3", step);
    groups.set(step, { group, title });
    grid.append(title, group);
  }
  for (const { title } of groups.values()) title.hidden = groups.size < 2;
  return groups.get(step).group;
}

function take({ frames, total: count }) {
  total = count;
  for (const frame of frames) {
    let cell = cells.get(key(frame));
    if (!cell) {
      cell = new Cell(frame);
      cells.set(key(frame), cell);
      groupOf(frame.step).append(cell.button);
    }
    cell.show(frame);
  }
  grid.classList.toggle("many", cells.size > 400);
  const first = grid.querySelector(".cell");
  if (first && !grid.querySelector(".cell[tabindex='0']")) first.tabIndex = 0;
  place("no-frames").hidden = total > 0;
  place("more-frames").hidden = cells.size >= total;
}

async function load(skip) {
  const mine = task.id;
  const answer = await callSignedIn("GET", `${url("frames")}?${query({ skip, limit: PAGE })}`);
  if (mine === task?.id) take(answer);
}

async function loadShown() {
  const pages = Math.max(Math.ceil(cells.size / PAGE), 1);
  for (let page = 0; page < pages && task; page++) await load(page * PAGE);
  if (shown && place("frame-dialog").open) showFrame();
}

export async function enter(given) {
  leave();
  task = given;
  await load(0);
}

export async function refresh(given) {
  task = given;
  await loadShown();
}

export function leave() {
  clearTimeout(due);
  due = 0;
  task = null;
  cells = new Map();
  groups = new Map();
  grid.replaceChildren();
  if (place("frame-dialog").open) place("frame-dialog").close();
}

/** Show at once what runs, and look soon what has become of the others: seldom where there are many. */
export function hear(given) {
  task = given;
  for (const { step, number, progress } of task.running) {
    const cell = cells.get(key({ step, number }));
    if (cell && cell.frame.status !== "done") cell.show({ ...cell.frame, status: "running", progress });
  }
  if (due) return;
  due = setTimeout(async () => {
    await loadShown().catch(() => {}); // the next look tells
    due = 0;
  }, Math.max(LEAST_REST, cells.size * COST));
}

/** Arrow keys go from frame to frame; the grid is one stop of the tabulator. */
function move(event) {
  const all = [...grid.querySelectorAll(".cell")];
  const at = all.indexOf(document.activeElement);
  if (at < 0) return;
  const columns = getComputedStyle(all[at].parentElement).gridTemplateColumns.split(" ").length;
  const far = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: all.length - 1 - at }[event.key];
  const target = far && all[at + far];
  if (!target) return;
  event.preventDefault();
  all[at].tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

// --- One frame ---

function tryRow(attempt) {
  const { dataset } = place("tries");
  const item = element("li");
  const facts = [attempt.node, attempt.ended_at && durationText((new Date(attempt.ended_at) - new Date(attempt.created_at)) / 1000),
    attempt.peak_memory_size && filled(dataset.memory, { size: sizeText(attempt.peak_memory_size) }), attempt.failure_code];
  const about = element("small", ` ${facts.filter(Boolean).join(" · ")} `);
  if (attempt.log_url) {
    const link = element("a", dataset.log);
    Object.assign(link, { href: attempt.log_url, target: "_blank", rel: "noopener" });
    about.append(link);
  }
  item.append(statusTag(attempt.status), about);
  if (attempt.message) item.append(element("p", attempt.message));
  return item;
}

/** The picture as large as a screen shows it, once it is made; the small one stays where there is none. */
async function enlarge({ file_id, width, height }, image, small) {
  if (!file_id || Math.max(width, height) <= SMALL) return;
  const large = await picture(callSignedIn, `/api/v1/files/${file_id}/preview`, LARGE).catch(() => null);
  if (large && image.src === small) image.src = large;
}

function showPicture(output) {
  const image = place("frame-picture");
  const url = output?.preview_url;
  place("no-picture").hidden = Boolean(url);
  image.hidden = !url;
  if (url) {
    image.src = url;
    image.alt = output.name;
    place("frame-dialog").style.setProperty("--wide", `${output.width}px`);
    enlarge(output, image, image.src);
  }
  place("frame-download").hidden = !output;
  if (output) place("frame-download").href = output.download_url;
  for (const chip of place("frame-layers").children) chip.setAttribute("aria-pressed", String(chip.dataset.id === output?.id));
}

function showFrame() {
  const { frame } = shown;
  place("frame-title").textContent = filled(place("frame-title").dataset.text, { number: frame.number }) + (groups.size > 1 ? ` · ${frame.step}` : "");
  showStatus(place("frame-status"), frame.status);
  showText("frame-facts", frame.status === "done" && frame.seconds ? filled(place("frame-facts").dataset.time, { time: durationText(frame.seconds) }) : "");
  place("frame-retry").hidden = frame.status !== "failed" || !task.actions.includes("retry");
}

async function open(cell) {
  shown = cell;
  const { step, number } = cell.frame;
  showFrame();
  showPicture(null);
  place("frame-layers").replaceChildren();
  place("tries").replaceChildren();
  if (!place("frame-dialog").open) place("frame-dialog").showModal();
  const [{ outputs }, { attempts }] = await Promise.all([
    callSignedIn("GET", `${url("outputs")}?${query({ frame: number, step })}`),
    callSignedIn("GET", `${url(`frames/${number}/attempts`)}?${query({ step })}`),
  ]);
  if (shown !== cell) return;
  place("tries").replaceChildren(...attempts.map(tryRow));
  if (outputs.length > 1) {
    place("frame-layers").replaceChildren(...outputs.map((output) => {
      const chip = element("button", output.layer || output.name);
      chip.type = "button";
      chip.dataset.id = output.id;
      chip.addEventListener("click", () => showPicture(output));
      return chip;
    }));
  }
  showPicture(outputs.find(({ layer }) => !layer) ?? outputs[0]);
}

function beside(way) {
  const all = [...cells.values()];
  const next = all[all.indexOf(shown) + way];
  if (next) door.attempt(() => open(next));
}

export function begin(given) {
  door = given;
  grid.addEventListener("keydown", move);
  place("legend").replaceChildren(...LEGEND.map((status) => {
    const item = element("li");
    item.append(element("span", "", `cell ${status}`), words[status]);
    return item;
  }));
  place("more-frames").addEventListener("click", () => door.attempt(() => load(cells.size)));
  place("frame-before").addEventListener("click", () => beside(-1));
  place("frame-after").addEventListener("click", () => beside(1));
  place("frame-dialog").addEventListener("keydown", ({ key: name }) => {
    if (name === "ArrowLeft") beside(-1);
    if (name === "ArrowRight") beside(1);
  });
  place("frame-dialog").addEventListener("close", () => {
    shown?.button.focus();
    shown = null;
  });
  place("frame-retry").addEventListener("click", () => door.attempt(async () => {
    const { step, number } = shown.frame;
    await callSignedIn("POST", url("retry"), { frames: String(number), step });
    place("frame-dialog").close();
    door.changed();
  }));
}
