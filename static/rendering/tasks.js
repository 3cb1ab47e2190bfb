// /tasks: the render tasks of whoever is signed in. The place is in the address: # (all), #/<task>, #new/<scene file>.

import { callSignedIn, isSignedIn, signInFirst } from "../accounts/api.js";
import { listen } from "../accounts/live.js";
import { place } from "../accounts/parts.js";
import * as draft from "./draft.js";
import * as list from "./list.js";
import * as one from "./one.js";
import { filled, showText, words } from "./texts.js";

const TURN = 5000; // milliseconds between looks where there is no socket
const QUIET_TURNS = 4; // with one, only so many turns apart: what waits in a queue moves without an event
const views = { list, draft, one };
let shown = null; // the name of the view
let at = ""; // the task that is shown
let visit = 0;
let isLive = false;
let turn = 0;

function fail(error) {
  if (error.status === 401) signInFirst(words.login);
  else showText("refused", error.message);
}

/** Do `act`, and say what went wrong with it. */
async function attempt(act) {
  showText("refused", "");
  try {
    return await act();
  } catch (error) {
    return fail(error);
  }
}

/** A draft of a scene of the drive. */
function draftOf(scene) {
  const body = { scene_file_id: scene, task_name: words.title };
  return callSignedIn("GET", `/api/v1/files/${encodeURIComponent(scene)}`)
    .then(({ name }) => callSignedIn("POST", "/api/v1/tasks", { ...body, task_name: name.replace(/\.[^.]+$/, "") || name }));
}

async function taskOf(id) {
  try {
    return await callSignedIn("GET", `/api/v1/tasks/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error.status === 404) error.message = words.noTask;
    throw error;
  }
}

function show(name, task) {
  if (shown) views[shown].leave?.();
  shown = name;
  for (const part of document.querySelectorAll("#tasks > [data-view]")) part.hidden = part.dataset.view !== name;
  document.title = document.title.replace(/^.* · /, () => `${task?.task_name || words.title} · `);
  return views[name].enter(task);
}

/** Show what the address says. What arrives after one has gone elsewhere is not shown. */
async function arrive() {
  const mine = ++visit;
  showText("refused", "");
  const [kind, id = ""] = location.hash.slice(1).split("/");
  at = kind ? "" : id;
  try {
    if (kind === "new") {
      const made = await draftOf(id);
      if (mine !== visit) return undefined;
      history.replaceState(null, "", `#/${made.id}`);
      return await arrive();
    }
    const task = at ? await taskOf(at) : null;
    if (mine !== visit) return undefined;
    await show(!task ? "list" : task.status_name === "draft" ? "draft" : "one", task);
  } catch (error) {
    if (mine !== visit) return undefined;
    if (error.status === 404) {
      at = "";
      history.replaceState(null, "", "#");
      await attempt(() => show("list", null));
    }
    fail(error);
  }
  return undefined;
}

function go(hash) {
  if ((location.hash || "#") === hash) arrive();
  else location.hash = hash;
}

// --- News ---

function hear(event, data) {
  const id = data.task_id;
  if (!id) return;
  const isOther = event === "task:status" && at === id && (data.status === "draft") !== (shown === "draft");
  // A draft that is discarded says so before it is gone.
  if (isOther && data.status !== "cancelled") arrive();
  else views[shown]?.hear?.(event, data);
}

function tellLive(live) {
  isLive = live;
  for (const tag of document.querySelectorAll(".live")) {
    tag.classList.toggle("on", live);
    tag.textContent = live ? words.liveOn : words.liveOff;
  }
}

const look = () => shown && views[shown].refresh?.().catch((error) => error.status === 401 && fail(error));

function turned(live, isWhole) {
  tellLive(live);
  if (!isWhole) look();
}

/** Say for those who do not see it what has become of a task. */
function tell(task, status) {
  place("news").textContent = filled(words.news, { task, status: words[status] });
}

function start() {
  const door = { attempt, go, tell, arrive };
  for (const view of Object.values(views)) view.begin(door);
  addEventListener("hashchange", arrive);
  setInterval(() => {
    turn++;
    if (!document.hidden && (!isLive || turn % QUIET_TURNS === 0)) look();
  }, TURN);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  place("tasks").hidden = false;
  arrive();
  listen({ hear, turned });
}

if (isSignedIn()) start();
else signInFirst(words.login);
