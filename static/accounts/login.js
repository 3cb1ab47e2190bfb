// /login: three ways in and a way to register.

import { callSignedIn, isSignedIn, keepTokens, placeAfterSignIn } from "./api.js";
import { submitByApi } from "./forms.js";
import { startQr } from "./qr.js";

const card = document.getElementById("signin");

function land() {
  location.assign(placeAfterSignIn() ?? card.dataset.account);
}

function signedIn(answer) {
  keepTokens(answer);
  land();
}

function showMode() {
  const mode = location.hash === "#register" ? "register" : "login";
  card.dataset.mode = mode;
  for (const part of card.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== mode;
  card.querySelector(`[data-for=${mode}] input`).focus();
}

async function landIfSignedIn() {
  if (!isSignedIn()) return;
  try {
    await callSignedIn("GET", "/api/v1/users/me");
    land();
  } catch {
    // Nobody is: this is the right page.
  }
}

for (const form of card.querySelectorAll("#password-form, #code-form, #register-form")) {
  submitByApi(form, { done: signedIn });
}
addEventListener("hashchange", showMode);
showMode();
landIfSignedIn();
const panel = document.getElementById("qr");
if (panel) startQr(panel, signedIn);
