// How many notifications are unread, in the navigation of every page. Pages ask once a minute at most, together.

import { callSignedIn, isSignedIn } from "./api.js";
import { fill, place } from "./parts.js";

const KEY = "unread";
const FRESH = 60_000; // milliseconds
const SETTLE = 300; // milliseconds in which several notifications are one question
const badge = place("unread");
const link = badge.closest("a");
let due = 0;

function kept() {
  const [count = 0, at = 0] = (localStorage.getItem(KEY) ?? "").split(" ").map(Number);
  return { count, at };
}

function show() {
  const { count } = kept();
  const [number, words] = badge.children;
  number.textContent = count > 99 ? "99+" : count;
  words.textContent = fill(badge.dataset.text, { count });
  badge.hidden = !count;
  link.hash = count ? "notifications" : "";
  dispatchEvent(new CustomEvent("unread", { detail: count }));
}

async function look() {
  try {
    const { unread } = await callSignedIn("GET", "/api/v1/notifications/unread-count");
    if (isSignedIn()) localStorage.setItem(KEY, `${unread} ${Date.now()}`);
    show();
  } catch {
    // What the page itself asks for tells what is wrong.
  }
}

function lookSoon() {
  clearTimeout(due);
  due = setTimeout(look, SETTLE);
}

addEventListener("notification", ({ detail }) => detail.id && lookSoon()); // the greeting of the socket has none
addEventListener("notifications-read", lookSoon);
addEventListener("storage", ({ key }) => key === KEY && show());
if (isSignedIn()) {
  show();
  if (Date.now() - kept().at > FRESH) look();
}
