// How one signs in and where: password, sessions, devices, what happened, and the end of it all.

import { callSignedIn } from "./api.js";
import { showDeletion } from "./deletion.js";
import { deviceName } from "./devices.js";
import { askSure } from "./dialogs.js";
import { element, fill, place, timeText, titledRow } from "./parts.js";
import { showPassword } from "./password.js";
import { List, attempt, changed, doing, say } from "./saying.js";

const sessions = new List("session", "sessions", sessionRow);
const devices = new List("device", "devices", deviceRow);
const log = new List("event", "events", eventRow, 12);

function sessionRow(session) {
  const { dataset } = sessions.rows;
  const item = titledRow(deviceName(session.device, dataset.unknown), session.ip, timeText(session.last_seen_at));
  item.title = session.device;
  if (session.current) {
    item.append(element("span", dataset.this, "tag"));
    return item;
  }
  item.append(doing(dataset.end, "button quiet small", async () => {
    await callSignedIn("DELETE", `/api/v1/auth/sessions/${session.id}`);
    changed();
  }));
  return item;
}

function deviceRow(device) {
  const { dataset } = devices.rows;
  const item = titledRow(device.name || dataset.unknown, fill(dataset.seen, { time: timeText(device.last_seen_at) }));
  item.append(doing(dataset.revoke, "button quiet small", async () => {
    if (!(await askSure("device"))) return;
    await callSignedIn("DELETE", `/api/v1/users/me/devices/${device.id}`);
    changed();
  }));
  return item;
}

const TOLD = ["username", "phone", "email", "role"]; // values of an event that say something to people

/** What an event changed: the value before and after, or the one that stayed. */
function changeText({ before, after }) {
  const word = (name, value) => (name === "role" ? log.rows.dataset[value] : value);
  const parts = TOLD.filter((name) => before[name] || after[name]).map((name) => {
    const [old, now] = [word(name, before[name]), word(name, after[name])];
    return !old || old === now ? now : `${old} → ${now || "—"}`;
  });
  return [after.team ?? before.team, ...parts].filter(Boolean).join("  ");
}

function eventRow(event) {
  const { dataset } = log.rows;
  const device = event.device && deviceName(event.device, dataset.unknown);
  const item = titledRow(event.label, timeText(event.created_at), event.ip, device, event.by_operator && dataset.operator);
  const change = changeText(event);
  if (change) item.firstChild.append(element("small", change));
  return item;
}

export async function load(user) {
  const shows = await Promise.all([
    sessions.load("/api/v1/auth/sessions", {}),
    devices.load("/api/v1/users/me/devices", {}),
    log.load("/api/v1/users/me/security-log", {}),
  ]);
  return () => {
    for (const show of shows) show();
    showPassword(user);
    showDeletion(user);
    place("end-others").hidden = sessions.rows.children.length < 2;
    place("devices").hidden = !devices.rows.children.length;
  };
}

place("end-others").addEventListener("click", ({ target }) => attempt(async () => {
  if (!(await askSure("others"))) return;
  const { ended } = await callSignedIn("POST", "/api/v1/auth/sessions/end-others");
  say(fill(target.dataset.done, { count: ended }));
  changed();
}));
