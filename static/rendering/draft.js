// A task that is still a draft: its scene, what it asks for, what that costs. Every change is kept at once.

import { callSignedIn } from "../accounts/api.js";
import { element, place } from "../accounts/parts.js";
import * as report from "./report.js";
import { chooseScene } from "./scenes.js";
import { filled, moneyText, priceText, showText } from "./texts.js";

const REST = 500; // milliseconds without a key until what was typed is kept
const form = place("settings");
let door = null;
let task = null;
let wanted = {}; // changes that are not kept yet
let due = 0;
let keeping = Promise.resolve();

const url = (part = "") => `/api/v1/tasks/${task.id}${part}`;
const numberOf = (text) => (text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text));
const ticked = (id) => [...place(id).querySelectorAll("input:checked")].map(({ value }) => value);

/** What the form says of a field, as the API has it; null is the default. */
const values = {
  task_name: ({ value }) => value.trim(),
  frames: ({ value }) => value.trim() || null,
  priority: ({ value }) => Number(value),
  width: ({ value }) => numberOf(value.trim()),
  height: ({ value }) => numberOf(value.trim()),
  chunk_size: ({ value }) => numberOf(value.trim()),
  output_format: ({ value }) => value || null,
  engine_version: ({ value }) => value || null,
  test_frames: ({ checked }) => checked,
  cameras: () => ticked("cameras"),
  layers: () => ticked("layers"),
};

// --- What is refused ---

function clearRefusals() {
  for (const told of form.querySelectorAll(".field-error")) told.hidden = true;
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  showText("submit-refused", "");
}

/** Each refusal beside its field, the rest above the button. */
function refuse(error) {
  clearRefusals();
  if (error.status === 401) throw error;
  let first = null;
  for (const { loc, msg } of error.fields ?? []) {
    const name = loc.findLast((part) => typeof part === "string" && place(`${part}-error`));
    if (!name) continue;
    showText(`${name}-error`, msg);
    const field = form.elements[name];
    field?.setAttribute?.("aria-invalid", "true");
    field?.closest?.("details")?.setAttribute("open", "");
    first ??= field;
  }
  if (first) first.focus?.();
  else showText("submit-refused", error.message);
  if (error.code === "missing_assets") place("files").scrollIntoView({ behavior: "smooth" });
}

// --- What is kept, and what it costs ---

async function estimate() {
  const mine = task.id;
  let found;
  try {
    found = await callSignedIn("GET", url("/estimate"));
  } catch (error) {
    if (error.status === 401) throw error;
    if (mine !== task?.id) return;
    place("estimate-cost").textContent = place("available").textContent = "–";
    place("short").hidden = true;
    return;
  }
  if (mine !== task?.id) return;
  const { dataset } = place("estimate");
  const price = priceText(found.unit_price);
  place("estimate-of").textContent = found.expected_hours === null
    ? filled(dataset.frames, { frames: found.frames, price })
    : filled(dataset.hours, { hours: found.expected_hours.toPrecision(2), price });
  place("estimate-cost").textContent = moneyText(found.estimated_cost);
  place("available").textContent = moneyText(found.available) + (found.payer === "team" ? ` · ${dataset.team}` : "");
  const most = found.limit_left === null ? found.available : Math.min(found.available, found.limit_left);
  const missing = found.estimated_cost - most;
  place("short").hidden = missing <= 0;
  place("short").firstElementChild.textContent = filled(dataset.short, { missing: moneyText(Math.max(missing, 0.01)) });
}

/** Keep what was changed, one change after the other. False where it was refused. */
function keep() {
  clearTimeout(due);
  const changes = wanted;
  const mine = task?.id;
  wanted = {};
  keeping = keeping.then(async () => {
    if (!Object.keys(changes).length) return true;
    try {
      const changed = await callSignedIn("PATCH", `/api/v1/tasks/${mine}`, changes);
      if (mine !== task?.id) return true;
      task = changed;
    } catch (error) {
      if (mine !== task?.id) return false;
      wanted = { ...changes, ...wanted }; // said again with the next change, or when it is submitted
      refuse(error);
      return false;
    }
    clearRefusals();
    await estimate();
    return true;
  });
  return keeping;
}

function change(name, value, soon) {
  wanted[name] = value;
  clearTimeout(due);
  due = setTimeout(() => door.attempt(keep), soon ? 0 : REST);
}

async function submit() {
  showText("draft-failure", "");
  if (!(await keep())) return;
  const button = place("submit-task");
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    await callSignedIn("POST", url("/submit"));
    await door.arrive();
  } catch (error) {
    refuse(error);
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

// --- What shows ---

function fill() {
  const slash = task.scene_file.lastIndexOf("/");
  place("scene-name").textContent = task.scene_file.slice(slash + 1);
  place("scene-folder").textContent = task.scene_file.slice(0, slash) || "/";
  showText("draft-failure", task.error_message);
  for (const name of ["task_name", "frames", "priority", "width", "height", "chunk_size", "output_format", "engine_version"]) {
    form.elements[name].value = task[name] ?? "";
  }
  form.elements.samples.value = task.engine_options.samples ?? "";
  place("samples-field").hidden = task.engine !== "blender";
  form.elements.test_frames.checked = task.test_frames;
  place("allow-missing").checked = task.allow_missing;
}

function tick({ name, label: shown }, checked) {
  const label = element("label", "", "tick");
  const box = element("input");
  Object.assign(box, { type: "checkbox", value: name, checked });
  label.append(box, ` ${shown || name}`);
  return label;
}

/** What the scene says stands behind what is left empty; its cameras and layers can be chosen. */
function showScene(data) {
  const { frame_start: first, frame_end: last, frame_step: step } = data;
  form.elements.frames.placeholder = first === undefined ? "" : first === last ? first : `${first}-${last}${step > 1 ? `:${step}` : ""}`;
  form.elements.width.placeholder = data.width ?? "";
  form.elements.height.placeholder = data.height ?? "";
  for (const name of ["cameras", "layers"]) {
    const found = (data[name] ?? []).map((each) => (each.name ? each : { name: each }));
    place(`${name}-field`).hidden = found.length < 2;
    place(name).replaceChildren(...found.map((each) => tick(each, task[name].includes(each.name))));
  }
}

async function showVersions() {
  const { engines } = await callSignedIn("GET", "/api/v1/engines");
  const { versions = [] } = engines.find(({ name }) => name === task.engine) ?? {};
  const list = form.elements.engine_version;
  list.replaceChildren(list.options[0], ...versions.map((version) => new Option(version)));
  list.value = task.engine_version;
}

export async function enter(given) {
  task = given;
  wanted = {};
  clearRefusals();
  fill();
  showScene({});
  await Promise.all([report.show(task, { ready: showScene, changed: estimate }), showVersions(), estimate()]);
}

export function leave() {
  if (Object.keys(wanted).length) keep().catch(() => {});
  report.leave();
  keeping = keeping.then(() => true, () => true);
}

export const refresh = () => (document.hidden ? Promise.resolve() : estimate());

export function begin(given) {
  door = given;
  report.begin(door);
  form.addEventListener("input", ({ target }) => {
    if (target.id === "samples") {
      change("engine_options", { ...task.engine_options, samples: numberOf(target.value.trim()) ?? undefined }, false);
      return;
    }
    const name = target.closest("#cameras, #layers")?.id ?? target.name;
    const isTyped = target.matches("input:not([type=checkbox])");
    if (values[name]) change(name, values[name](target), !isTyped);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    door.attempt(submit);
  });
  place("allow-missing").addEventListener("change", ({ target }) => change("allow_missing", target.checked, true));
  place("scene-other").addEventListener("click", () => door.attempt(async () => {
    const scene = await chooseScene();
    if (!scene) return;
    const asked = { scene_file_id: scene.id, cameras: null, layers: null, frames: null, engine_version: null };
    await enter(await callSignedIn("PATCH", url(), asked));
  }));
  place("draft-delete").addEventListener("click", () => door.attempt(async () => {
    await callSignedIn("DELETE", url());
    task = null;
    wanted = {};
    door.go("#");
  }));
}
