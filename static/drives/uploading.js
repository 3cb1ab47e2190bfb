// Files of this computer into the drive: one manifest for all of them, then each by one body or by parts.

import { ApiError, callSignedIn } from "../accounts/api.js";
import { holding } from "../accounts/locks.js";

export const TASKS = "/api/v1/upload-tasks";
const AT_ONCE = 3;
const TRIES = 3;
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Send bytes, and tell how many have gone. `fetch` does not say. */
function put(method, url, body, onSent, signal) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.setRequestHeader("Authorization", `Bearer ${localStorage.getItem("access_token")}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onload = () => {
      if (request.status < 300) done(request.response);
      else fail(new ApiError(request.status, request.response ?? { detail: request.statusText }, 0));
    };
    request.onerror = () => fail(new ApiError(0, { detail: document.body.dataset.offline, code: "offline" }, 0));
    request.onabort = () => fail(signal.reason);
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

/** The same again where the connection broke, the token ended or the platform is busy. */
async function send(method, url, body, onSent, signal) {
  for (let turn = 1; ; turn++) {
    signal.throwIfAborted();
    try {
      return await put(method, url, body, onSent, signal);
    } catch (error) {
      const passing = error.status === 0 || error.status === 401 || error.status >= 500;
      if (!passing || turn === TRIES) throw error;
      if (error.status === 401) await callSignedIn("GET", "/api/v1/users/me");
      else await wait(1000 * turn);
    }
  }
}

/** What had arrived of a file is not sent again, unless that `isChanged` since. */
async function byParts(url, { file, isChanged }, onSent, signal) {
  const { chunk_size, total_chunks, uploaded_chunks } = await callSignedIn("POST", `${url}/multipart/init`);
  const there = new Set(isChanged ? [] : uploaded_chunks);
  for (let number = 1; number <= total_chunks; number++) {
    const start = (number - 1) * chunk_size;
    const part = file.slice(start, start + chunk_size);
    const isThere = there.has(number);
    if (!isThere) await send("PUT", `${url}/multipart/parts/${number}`, part, (sent) => onSent(start + sent), signal);
    onSent(start + part.size, isThere ? part.size : 0);
  }
  await callSignedIn("POST", `${url}/multipart/complete`, {});
}

/** The path of a file on its own computer, from the folder on that was picked. */
export const homeOf = ({ file, within }) => [...within, file.name].join("/").normalize("NFC");

const lineOf = (folder) => ({ file, within }) => ({
  target_folder_path: `/${[...folder.split("/").filter(Boolean), ...within].join("/")}`,
  file_name: file.name,
  file_size: file.size,
  local_path: homeOf({ file, within }),
});
const pathOf = ({ target_folder_path: folder, file_name: name }) => `${folder === "/" ? "" : folder}/${name}`;

/**
 * Announce the files; where names are taken `askClash(paths)` says what becomes of those: keep_both, replace or skip.
 * The task with the files it holds, or null where nothing is left to send.
 */
async function announce(drive, folder, files, askClash) {
  const task_name = (files[0].within[0] ?? files[0].file.name).slice(0, 100);
  let on_clash = "refuse";
  let left = files;
  let skipping = false;
  while (left.length) {
    const manifest = { task_name, drive_id: drive, on_clash, files: left.map(lineOf(folder)) };
    try {
      return { task: await callSignedIn("POST", TASKS, { upload_manifest: manifest }), files: left };
    } catch (error) {
      const { paths } = error.body ?? {};
      if (error.code !== "name_taken" || !paths) throw error;
      const rule = skipping ? "skip" : await askClash(paths);
      if (!rule) return null;
      skipping = rule === "skip";
      if (skipping) left = left.filter((each) => !paths.includes(pathOf(lineOf(folder)(each)).normalize("NFC")));
      else on_clash = rule;
    }
  }
  return null;
}

/** The lock that a window holds on a task while it sends its files. */
export const lockOf = (id) => `upload ${id}`;

/**
 * Send files of a task: `[{ file, id, path, isChanged, isFailed }]`; `landed` is what is there already, `{ done, size }`.
 *
 * `tell({ done, total, sent, size, failed, spared })` hears how far it is, `spared` of the bytes `sent` did not have to go;
 * `fault(path, reason)` what did not go. False where `signal` ended it, and the task with it.
 */
export function sendFiles(task, files, landed, { signal, tell, fault }) {
  const sent = files.map(() => 0);
  const size = files.reduce((sum, { file }) => sum + file.size, landed.size);
  const state = { done: landed.done, failed: 0, total: landed.done + files.length, size, spared: 0 };
  const say = () => tell({ ...state, sent: sent.reduce((sum, each) => sum + each, landed.size) });
  const waiting = files.map((item, at) => [item, at]);

  async function work(most) {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [item, at] = next;
      const url = `${TASKS}/${task.id}/files/${item.id}`;
      const onSent = (bytes, spared = 0) => {
        state.spared += spared;
        sent[at] = Math.min(bytes, item.file.size);
        say();
      };
      try {
        if (item.isFailed) await callSignedIn("PUT", `${url}/retry`);
        if (item.file.size > most) await byParts(url, item, onSent, signal);
        else await send("POST", `${url}/upload`, item.file, onSent, signal);
        state.done++;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ApiError) || error.status === 401) throw error;
        state.failed++;
        state.spared += item.file.size - sent[at];
        fault(item.path, error.message);
      }
      sent[at] = item.file.size;
      say();
    }
  }

  return holding(lockOf(task.id), async () => {
    const { direct_max_size } = (await callSignedIn("GET", "/api/v1/config/client")).upload;
    say();
    await Promise.all(Array.from({ length: AT_ONCE }, () => work(direct_max_size)));
    if (signal.aborted) await callSignedIn("PUT", `${TASKS}/${task.id}/cancel`);
    return !signal.aborted;
  });
}

/**
 * Put `files` (`[{ file, within }]`, `within` naming the folders on the way) into `folder` of the drive.
 *
 * False where it was given up: by `askClash`, or by the signal that `sendFiles` gets with the rest. Throws ApiError where
 * nothing was taken.
 */
export async function upload(drive, folder, files, askClash, hear) {
  const announced = await announce(drive, folder, files, askClash);
  if (!announced) return false;
  const { task, files: taken } = announced;
  const items = taken.map((each, at) => ({ file: each.file, id: task.file_ids[at], path: pathOf(lineOf(folder)(each)) }));
  return sendFiles(task, items, { done: 0, size: 0 }, hear);
}
