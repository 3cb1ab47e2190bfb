// Notifications: read, marked, deleted, and heard of while they come.

import { callSignedIn } from "./api.js";
import { busyButton, element, place, timeText, titledRow } from "./parts.js";
import { List, attempt, doing } from "./saying.js";

const DOOR = "/api/v1/notifications";
const NEW = 5; // rows asked for when one comes: several may at once
const list = new List("news", "notifications", row, 20);
const unreadOnly = place("unread-only");

const filters = () => ({ unread: unreadOnly.checked ? "true" : undefined });
const told = () => dispatchEvent(new Event("notifications-read"));

async function markRead({ id, read_at }) {
  if (read_at) return;
  await callSignedIn("POST", `${DOOR}/${id}/read`);
  told();
}

function viewLink(notification) {
  const link = element("a", list.rows.dataset.open, "button quiet small");
  link.href = notification.action_url;
  link.setAttribute("aria-label", `${link.textContent}: ${notification.title}`);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into another tab
    event.preventDefault();
    attempt(async () => {
      await markRead(notification);
      location.assign(notification.action_url);
    });
  });
  return link;
}

function row(notification) {
  const { dataset } = list.rows;
  const item = titledRow(notification.title, notification.message);
  item.dataset.id = notification.id;
  item.classList.add("news", notification.type);
  item.firstChild.append(element("time", timeText(notification.created_at)));
  const acts = element("div", "", "acts");
  if (notification.action_url) acts.append(viewLink(notification));
  if (!notification.read_at) {
    item.classList.add("unread");
    item.querySelector("b").append(element("span", ` (${dataset.unread})`, "sr"));
    acts.append(doing(dataset.read, "button quiet small", async () => {
      await markRead(notification);
      if (unreadOnly.checked) list.drop(item);
      else item.replaceWith(row({ ...notification, read_at: new Date().toISOString() }));
    }));
  }
  const remove = busyButton("×", "remove", () => attempt(async () => {
    await callSignedIn("DELETE", `${DOOR}/${notification.id}`);
    list.drop(item);
    told();
  }));
  remove.setAttribute("aria-label", `${dataset.delete}: ${notification.title}`);
  remove.title = dataset.delete;
  acts.append(remove);
  item.append(acts);
  return item;
}

export async function load() {
  const show = await list.load(DOOR, filters());
  told();
  return show;
}

/** Show those that have come. */
export async function hear() {
  const answer = await callSignedIn("GET", `${DOOR}?limit=${NEW}`);
  const shown = new Set([...list.rows.children].map(({ dataset }) => dataset.id));
  const fresh = answer.notifications.filter(({ id, read_at }) => !shown.has(id) && !(unreadOnly.checked && read_at));
  list.rows.prepend(...fresh.map(row));
  list.asked.shown += fresh.length;
  list.none.hidden = list.rows.children.length > 0;
}

const reload = async () => (await load())();

unreadOnly.addEventListener("change", () => attempt(reload));
place("read-all").addEventListener("click", () => attempt(async () => {
  await callSignedIn("POST", `${DOOR}/read`, {});
  await reload();
}));
