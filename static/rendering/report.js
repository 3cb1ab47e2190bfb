// The pre-flight of a draft's scene: what the scene says, and what becomes of the files it names.

import { callSignedIn } from "../accounts/api.js";
import { button, element, place } from "../accounts/parts.js";
import { chooseOther } from "./scenes.js";
import { filled, showFacts, showText } from "./texts.js";

const PAUSES = [300, 500, 1000, 2000]; // milliseconds between looks while the scene is being read
const GOOD = ["found", "mapped", "ignored"];
const MOST = 200; // rows of a list
let door = null;
let task = null;
let hooks = null;
let choices = {};
let timer = 0;

const url = (part) => `/api/v1/tasks/${task.id}/${part}`;
const nameText = (names, none) => (names?.length ? names.slice(0, 8).join(", ") + (names.length > 8 ? " …" : "") : none);

function showData(data) {
  const list = place("scene-facts");
  const { frame_start: first, frame_end: last, frame_step: step } = data;
  const program = data.product || (data.blender_version && `Blender ${data.blender_version.slice(0, 2).join(".")}`);
  showFacts(list, [
    ["program", program],
    ["renderer", data.renderer],
    ["range", first === undefined ? null : `${first}–${last}${step > 1 ? ` : ${step}` : ""}`],
    ["size", data.width && `${data.width} × ${data.height}`],
    ["fps", data.fps && String(data.fps)],
    ["cameras", data.cameras && nameText(data.cameras, list.dataset.none)],
    ["layers", nameText(data.layers?.map((each) => each.label || each.name || each), null)],
    ["format", data.output_format],
    ["plugins", nameText(data.plugins?.map(({ name }) => name), null)],
  ]);
}

/** Say what is meant by a name of the scene: a path of the drive, null for nothing, undefined for what it was before. */
async function choose(name, path) {
  const next = { ...choices, [name]: path };
  if (path === undefined) delete next[name];
  await take(await callSignedIn("PUT", url("assets"), { choices: next }));
}

function assetRow(asset) {
  const { dataset } = place("files");
  const item = element("li");
  const about = element("div", "", "about");
  const isUnused = asset.status === "missing" && !asset.required;
  const notes = [asset.named_by === task.scene_file ? "" : asset.named_by];
  if (GOOD.includes(asset.status)) notes.push(asset.found_count > 1 ? filled(dataset.files, { count: asset.found_count }) : asset.found[0]);
  else if (asset.expected_path) notes.push(filled(dataset.expected, { path: asset.expected_path }));
  if (asset.missing_frames) notes.push(filled(dataset.lacks, { frames: asset.missing_frames }));
  if (isUnused) notes.push(dataset.optional);
  about.append(element("b", asset.path), element("small", notes.filter(Boolean).join(" · ")));
  const doing = element("div", "", "doing");
  const act = (text, does) => doing.append(button(text, "button quiet small", () => door.attempt(does)));
  if (asset.chosen_by) {
    act(dataset.undo, () => choose(asset.chosen_by, undefined));
  } else if (!GOOD.includes(asset.status) && !isUnused) {
    for (const path of asset.candidates.slice(0, 3)) act(path, () => choose(asset.path, path));
    act(dataset.choose, async () => {
      const file = await chooseOther(task.drive_id);
      if (file) await choose(asset.path, `${file.folder_path === "/" ? "" : file.folder_path}/${file.name}`);
    });
    act(dataset.ignore, () => choose(asset.path, null));
  }
  const state = isUnused ? "quiet" : GOOD.includes(asset.status) ? "" : "bad";
  item.append(about, element("span", dataset[asset.status], `tag ${state}`));
  if (doing.children.length) item.append(doing);
  return item;
}

function showAssets({ assets, counts, missing }) {
  const { dataset } = place("files");
  const isFine = ({ status, required, chosen_by }) => !chosen_by && (GOOD.includes(status) || !required);
  const problems = assets.filter((asset) => !isFine(asset));
  const fine = assets.filter(isFine);
  place("files").hidden = !assets.length;
  // What is missing and not used is no problem.
  const bad = { ...counts, missing: Math.max((counts.missing ?? 0) - fine.filter(({ status }) => status === "missing").length, 0) };
  place("file-counts").textContent = Object.entries(bad).filter(([, count]) => count)
    .map(([status, count]) => `${dataset[status]} ${count}`).join(" · ");
  place("problems").replaceChildren(...problems.slice(0, MOST).map(assetRow));
  place("found").replaceChildren(...fine.slice(0, MOST).map(assetRow));
  place("fine-title").textContent = filled(place("fine-title").dataset.text, { count: fine.length });
  place("fine").hidden = !fine.length;
  place("missing").hidden = !missing.length;
}

/** Show a report; one that is pending is asked for again. */
async function take(answer, turn = 0) {
  const mine = task.id;
  clearTimeout(timer);
  choices = answer.choices;
  const isPending = answer.status === "pending";
  place("reading").hidden = !isPending;
  showText("unreadable", answer.status === "failed" ? answer.message || answer.failure_code : "");
  showData(answer.data);
  showAssets(answer);
  if (isPending) {
    timer = setTimeout(() => door.attempt(async () => {
      const next = await callSignedIn("GET", url("report"));
      if (mine === task?.id) await take(next, turn + 1);
    }), PAUSES[Math.min(turn, PAUSES.length - 1)]);
    return;
  }
  hooks.ready(answer.data);
  await hooks.changed();
}

async function look() {
  const mine = task.id;
  const answer = await callSignedIn("GET", url("report"));
  if (mine === task?.id) await take(answer);
}

/** Show the report of a task. `ready(data)` hears what the scene says, `changed()` that there is something new. */
export async function show(given, given_hooks) {
  task = given;
  hooks = given_hooks;
  clearTimeout(timer);
  showText("unreadable", "");
  place("files").hidden = true;
  place("reading").hidden = false;
  showData({});
  try {
    await look();
  } catch (error) {
    if (error.status === 401) throw error;
    place("reading").hidden = true;
    showText("unreadable", error.message);
  }
}

export function leave() {
  clearTimeout(timer);
  task = null;
}

export function begin(given) {
  door = given;
  place("look-again").addEventListener("click", () => door.attempt(look));
}
