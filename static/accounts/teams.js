// /teams: the teams of who is signed in. One of them is shown where the address names it.

import { callSignedIn, isSignedIn, signInFirst } from "./api.js";
import { listen } from "./live.js";
import { place } from "./parts.js";
import { attempt, fail } from "./saying.js";
import * as one from "./team.js";
import * as list from "./teamlist.js";

/** Each has `load(user, id)`, which asks for what it shows and returns a function that shows it and tells its title. */
const views = { list, one };
const page = place("teams");
const title = document.title;
const SETTLE = 300; // milliseconds in which several events make one look
let turn = 0;
let due = 0;
let wasLive = false;

function show(current) {
  for (const name of Object.keys(views)) place(`${name}-view`).hidden = name !== current;
  page.hidden = false;
  page.removeAttribute("aria-busy");
}

/** Show what the address says; what arrives after one has gone elsewhere is not shown. */
async function arrive() {
  const mine = ++turn;
  const id = location.hash.slice(1);
  const name = id ? "one" : "list";
  try {
    const user = await callSignedIn("GET", "/api/v1/users/me");
    const showIt = await views[name].load(user, id);
    if (mine !== turn) return;
    show(name);
    document.title = [showIt(), title].filter(Boolean).join(" · ");
  } catch (error) {
    if (mine !== turn) return;
    if (!id || error.status !== 404) throw error;
    history.replaceState(null, "", "#");
    await arrive();
    error.message = page.dataset.unknown;
    fail(error);
  }
}

function lookSoon() {
  clearTimeout(due);
  due = setTimeout(() => attempt(arrive), SETTLE);
}

function turned(isLive, isWhole) {
  if (wasLive && !isWhole) lookSoon();
  wasLive ||= isLive;
}

for (const event of ["hashchange", "account-changed", "online"]) addEventListener(event, () => attempt(arrive));
if (isSignedIn()) {
  attempt(arrive);
  listen({ hear: (event, { id }) => event === "notification" && id && lookSoon(), turned });
} else {
  signInFirst(page.dataset.login);
}
