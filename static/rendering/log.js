// The log of a task, and the end of what the program printed, live.

import { callSignedIn } from "../accounts/api.js";
import { element, place } from "../accounts/parts.js";
import { filled, rangeText, words } from "./texts.js";

const LINES = 200;
const REST = 2000; // milliseconds between looks
const language = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const log = place("log");
let door = null;
let task = null;
let kind = "task";
let due = 0;

const url = (part) => `/api/v1/tasks/${task.id}/${part}`;

/** Show lines; who has scrolled to the end stays there. */
function put(nodes) {
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.replaceChildren(...(nodes.length ? nodes : [element("p", log.dataset.none, "empty")]));
  if (isAtEnd || !nodes.length) log.scrollTop = log.scrollHeight;
}

function lineOf({ created_at, log_level, message }) {
  const line = element("p", "", log_level.toLowerCase());
  const time = element("time", clock.format(new Date(created_at)));
  time.dateTime = created_at;
  line.append(time, message);
  return line;
}

async function load() {
  const asked = `${task.id}${kind}`;
  const isStill = () => task && asked === `${task.id}${kind}`;
  if (kind === "task") {
    const { logs } = await callSignedIn("GET", `${url("logs")}?limit=${LINES}`);
    if (isStill()) put(logs.reverse().map(lineOf));
    return;
  }
  const { attempts } = await callSignedIn("GET", `${url("attempts")}?limit=1`);
  if (!isStill()) return;
  const [attempt] = attempts;
  const of = attempt && filled(log.dataset.of, { frames: rangeText(attempt.frames), status: words[attempt.status] });
  put(attempt ? [element("p", of, "of"), element("pre", attempt.log_tail || log.dataset.none)] : []);
  if (attempt?.status === "running") lookSoon();
}

function lookSoon() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    if (task && !document.hidden) load().catch(() => {}); // the next look tells
  }, REST);
}

export async function enter(given) {
  task = given;
  log.replaceChildren();
  await load();
  log.scrollTop = log.scrollHeight;
}

export async function refresh(given) {
  task = given;
  await load();
}

export function leave() {
  clearTimeout(due);
  due = 0;
  task = null;
}

/** A line; where it stands for several they are all fetched. */
export function hear({ level, message, count, timestamp }) {
  if (kind !== "task") return;
  if (count > 1) {
    lookSoon();
    return;
  }
  const lines = [...log.querySelectorAll("p:not(.empty)")].slice(1 - LINES);
  put([...lines, lineOf({ created_at: timestamp, log_level: level, message })]);
}

export function begin(given) {
  door = given;
  const tabs = [...document.querySelectorAll("[role=tab][data-log]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      kind = tab.dataset.log;
      for (const other of tabs) other.setAttribute("aria-selected", String(other === tab));
      log.setAttribute("aria-labelledby", tab.id);
      log.replaceChildren();
      door.attempt(async () => {
        await load();
        log.scrollTop = log.scrollHeight;
      });
    });
  }
}
