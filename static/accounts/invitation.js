// /invitation#<token>: an invitation to a team. Behind the #, so that the token stands in no log of this page.

import { callSignedIn, forgetTokens, isSignedIn, signInFirst } from "./api.js";

const card = document.getElementById("invitation");
const choices = document.getElementById("choices");
const failure = document.getElementById("failure");
const language = document.documentElement.lang;
const door = `/api/v1/team-invitations/${encodeURIComponent(location.hash.slice(1))}`;

function fill(id, values) {
  const place = document.getElementById(id);
  place.textContent = place.dataset.text.replace(/{(\w+)}/g, (_all, name) => values[name]);
}

function fail(error) {
  if (error.status === 401) {
    forgetTokens();
    signInFirst(card.dataset.login);
    return;
  }
  failure.textContent = error.status === 404 ? card.dataset.unknown : error.message;
  failure.hidden = false;
  card.hidden = false;
}

function show({ team, role, invited_by, expires_at }) {
  const time = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(new Date(expires_at));
  document.getElementById("team").textContent = team.name;
  fill("offer", { name: invited_by.username, role: card.dataset[role] });
  fill("until", { time });
  choices.hidden = false;
  card.hidden = false;
}

async function answer(button) {
  failure.hidden = true;
  for (const choice of choices.children) choice.disabled = true;
  try {
    const { id } = await callSignedIn("POST", `${door}/${button.value}`);
    choices.hidden = true;
    document.getElementById("to-team").hash = id ?? "";
    document.getElementById("to-team").hidden = !id; // of one who declined
    document.getElementById("until").hidden = true;
    document.getElementById("offer").textContent = button.dataset.done;
  } catch (error) {
    for (const choice of choices.children) choice.disabled = false;
    fail(error);
  }
}

async function start() {
  if (!isSignedIn()) {
    signInFirst(card.dataset.login);
    return;
  }
  try {
    show(await callSignedIn("GET", door));
  } catch (error) {
    fail(error);
  }
}

for (const button of choices.children) button.addEventListener("click", () => answer(button));
// Another link opened in this tab changes nothing but what is behind the #.
addEventListener("hashchange", () => location.reload());
start();
