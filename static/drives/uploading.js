// Files of this computer into the drive: one manifest for all of them, then each by one body or by parts.

import { ApiError, callSignedIn } from "../accounts/api.js";

const TASKS = "/api/v1/upload-tasks";
const AT_ONCE = 3;
const TRIES = 3;
const PAGE = 1000;
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Send bytes, and tell how many have gone. `fetch` does not say. */
function put(method, url, body, onSent) {
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
    request.send(body);
  });
}

/** The same again where the connection broke, the token ended or the platform is busy. */
async function send(method, url, body, onSent) {
  for (let turn = 1; ; turn++) {
    try {
      return await put(method, url, body, onSent);
    } catch (error) {
      const passing = error.status === 0 || error.status === 401 || error.status >= 500;
      if (!passing || turn === TRIES) throw error;
      if (error.status === 401) await callSignedIn("GET", "/api/v1/users/me");
      else await wait(1000 * turn);
    }
  }
}

async function byParts(url, file, onSent) {
  const { chunk_size, total_chunks } = await callSignedIn("POST", `${url}/multipart/init`);
  for (let number = 1; number <= total_chunks; number++) {
    const start = (number - 1) * chunk_size;
    const part = file.slice(start, start + chunk_size);
    await send("PUT", `${url}/multipart/parts/${number}`, part, (sent) => onSent(start + sent));
  }
  await callSignedIn("POST", `${url}/multipart/complete`, {});
}

/** Ids of the task's files, in the order of the manifest. */
async function idsOf(task, count) {
  const ids = [];
  while (ids.length < count) {
    const { files } = await callSignedIn("GET", `${TASKS}/${task}/files?skip=${ids.length}&limit=${PAGE}`);
    if (!files.length) break;
    ids.push(...files.map((file) => file.id));
  }
  return ids;
}

/**
 * Put `files` (File) into `folder` of the drive; those of a picked folder keep their place in it.
 * `tell({ done, total, sent, size, failed, reason })` hears how far it is. Throws ApiError where nothing was taken.
 */
export async function upload(drive, folder, files, tell) {
  const { direct_max_size } = (await callSignedIn("GET", "/api/v1/config/client")).upload;
  const within = (file) => file.webkitRelativePath.split("/").slice(0, -1);
  const lines = files.map((file) => ({
    target_folder_path: `/${[...folder.split("/").filter(Boolean), ...within(file)].join("/")}`,
    file_name: file.name,
    file_size: file.size,
  }));
  const manifest = { task_name: files[0].name.slice(0, 100), drive_id: drive, files: lines };
  const { id: task } = await callSignedIn("POST", TASKS, { upload_manifest: manifest });
  const ids = await idsOf(task, files.length);
  const sent = files.map(() => 0);
  const state = { done: 0, failed: 0, reason: "", total: files.length, size: files.reduce((sum, file) => sum + file.size, 0) };
  const say = () => tell({ ...state, sent: sent.reduce((sum, size) => sum + size, 0) });
  const waiting = files.map((file, at) => [file, at]);

  async function work() {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [file, at] = next;
      const url = `${TASKS}/${task}/files/${ids[at]}`;
      const onSent = (size) => {
        sent[at] = Math.min(size, file.size);
        say();
      };
      try {
        if (file.size > direct_max_size) await byParts(url, file, onSent);
        else await send("POST", `${url}/upload`, file, onSent);
        state.done++;
      } catch (error) {
        if (error.status === 401) throw error;
        state.failed++;
        state.reason = error.message;
      }
      sent[at] = file.size;
      say();
    }
  }

  say();
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
