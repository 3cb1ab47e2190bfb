// /account: who is signed in, how they sign in, and what they were told. Which part is shown stands in the address.

import { callSignedIn, forgetTokens, isSignedIn, signInFirst } from "./api.js";
import { showFace } from "./face.js";
import { listen } from "./live.js";
import * as notifications from "./notifications.js";
import { dayText, fill, moneyText, place } from "./parts.js";
import * as profile from "./profile.js";
import { attempt, changed, say } from "./saying.js";
import * as security from "./security.js";
import { showTab } from "./tabs.js";

/** Each has `load(user)`, which asks for what it shows and returns a function that shows it. */
const views = { profile, security, notifications };
const page = place("account");
const title = document.title;
let turn = 0;
let shown = "";
let wasLive = false;

function showUser(user) {
  showFace(place("face"), user);
  place("who").textContent = user.username;
  place("since").textContent = fill(place("since").dataset.text, { date: dayText(user.created_at) });
  const says = place("leaving-says");
  const date = user.deletion_due_at && dayText(user.deletion_due_at);
  const texts = [fill(says.dataset.text, { date })];
  if (user.balance > 0) texts.push(fill(says.dataset.money, { balance: moneyText(user.balance) }));
  says.textContent = texts.join(" ");
  place("leaving").hidden = !date;
}

/** Show what the address says; what arrives after one has gone elsewhere is not shown. */
async function arrive() {
  const mine = ++turn;
  const asked = location.hash.slice(1);
  const tab = asked in views ? asked : "profile";
  const user = await callSignedIn("GET", "/api/v1/users/me");
  const show = await views[tab].load(user);
  if (mine !== turn) return;
  page.hidden = false;
  page.removeAttribute("aria-busy");
  shown = tab;
  showUser(user);
  showTab(page, tab, title);
  show();
}

/** What may have been missed while there was no connection is looked at; at the first one it has just been. */
function turned(isLive, isWhole) {
  if (wasLive && !isWhole) attempt(arrive);
  wasLive ||= isLive;
}

function hear(event, { id }) {
  if (event === "notification" && id && shown === "notifications") attempt(notifications.hear);
}

place("sign-out").addEventListener("click", async () => {
  const refresh_token = localStorage.getItem("refresh_token");
  try {
    await callSignedIn("POST", "/api/v1/auth/logout", { refresh_token });
  } catch {
    // Gone or unreachable: here it is forgotten all the same.
  }
  forgetTokens();
  location.replace(page.dataset.login);
});
place("keep").addEventListener("click", () => attempt(async () => {
  await callSignedIn("DELETE", "/api/v1/users/me/deletion");
  say(place("keep").dataset.done);
  changed();
}));
for (const event of ["hashchange", "account-changed", "online"]) addEventListener(event, () => attempt(arrive));
addEventListener("unread", ({ detail: count }) => {
  place("unread-here").textContent = count > 99 ? "99+" : count;
  place("unread-here").hidden = !count;
  place("read-all").hidden = !count;
});
if (isSignedIn()) {
  attempt(arrive);
  listen({ hear, turned });
} else {
  signInFirst(page.dataset.login);
}
