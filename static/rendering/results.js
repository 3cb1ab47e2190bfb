// What a task has rendered: pictures, film and sheet, the ZIP and the folder.

import { callSignedIn } from "../accounts/api.js";
import { place, sizeText } from "../accounts/parts.js";
import { driveLink, filled } from "./texts.js";

const REST = 4000; // milliseconds between looks while frames arrive
let mine = "";
let due = 0;
let known = 0; // frames whose results show

/** A link is another at each look; one to the same thing is left, so that a film plays on. */
function point(target, name, url, what = "") {
  const before = target.dataset.points;
  const now = url ? `${mine}${what}${url.replace(/\/blobs\/[^/]+\//, "")}` : "";
  if (before === now && name !== "href") return;
  target.dataset.points = now;
  if (url) target[name] = url;
  else target.removeAttribute(name);
}

/** Until there are film and sheet: the last of the pictures. */
async function showLatest(task, count) {
  const { outputs: [last] } = await callSignedIn("GET", `/api/v1/tasks/${task.id}/outputs?skip=${count - 1}&limit=1`);
  if (mine !== task.id) return;
  place("latest").hidden = !last?.preview_url;
  if (!last?.preview_url) return;
  point(place("latest-picture"), "src", last.preview_url, last.id);
  const says = filled(place("latest").dataset.text, { number: last.frame });
  place("latest-picture").alt = place("latest-says").textContent = says;
}

export async function show(task) {
  clearTimeout(due);
  due = 0;
  if (mine !== task.id) {
    known = 0;
    place("latest").hidden = true;
  }
  mine = task.id;
  if (!task.done_frames) {
    place("results").hidden = true;
    return;
  }
  const found = await callSignedIn("GET", `/api/v1/tasks/${task.id}/results`);
  if (mine !== task.id) return;
  known = task.done_frames;
  const count = found.steps.reduce((sum, step) => sum + step.output_count, 0);
  const size = found.steps.reduce((sum, step) => sum + step.size, 0);
  place("result-counts").textContent = filled(place("results").dataset.files, { count, size: sizeText(size) });
  // Sheet and film are drawn anew when a task that went on ends again.
  const end = task.completed_at ?? "";
  place("film").hidden = !found.preview_video_url;
  point(place("film"), "src", found.preview_video_url && `${found.preview_video_url}#${end}`);
  place("sheet").hidden = !found.contact_sheet_url;
  point(place("sheet-picture"), "src", found.contact_sheet_url && `${found.contact_sheet_url}#${end}`);
  point(place("sheet"), "href", found.contact_sheet_url);
  place("zip").hidden = !found.zip_url;
  point(place("zip"), "href", found.zip_url);
  place("zip-size").textContent = found.zip_url ? sizeText(found.zip_size) : "";
  place("folder").hidden = !found.folder_path;
  if (found.folder_path) place("folder").href = driveLink(found.drive_id, found.folder_path);
  place("results").hidden = false;
  const isDrawn = found.preview_video_url || found.contact_sheet_url;
  if (isDrawn || !count) place("latest").hidden = true;
  else await showLatest(task, count); // last: by then another task may be shown
}

/** Look again where further frames have arrived. */
export function hear(task) {
  if (due || task.done_frames === known) return;
  due = setTimeout(() => show(task).catch(() => {}), REST); // the next look tells
}
