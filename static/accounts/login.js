// /login: three ways in, a way to register and one to a new password.

import { callSignedIn, hasSessionEnded, isSignedIn, keepTokens, placeAfterSignIn } from "./api.js";
import { offerBinding } from "./bind.js";
import { submitByApi } from "./forms.js";

const card = document.getElementById("signin");
const modes = ["login", "register", "reset"];

function land() {
  location.assign(placeAfterSignIn() ?? card.dataset.home);
}

function signedIn(answer) {
  keepTokens(answer);
  land();
}

function showMode() {
  const mode = modes.find((name) => location.hash === `#${name}`) ?? "login";
  card.dataset.mode = mode;
  for (const part of card.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== mode;
  card.querySelector(`[data-for=${mode}] input`).focus();
}

/** A reset signs nobody in: on to the form that does. */
function passwordSet({ message }) {
  const [reset, password] = ["reset-form", "password-form"].map((id) => document.getElementById(id));
  password.elements.username.value = reset.elements.phone.value.trim();
  reset.reset();
  const done = document.getElementById("reset-done");
  done.textContent = message;
  done.hidden = false;
  location.hash = "login";
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
submitByApi(document.getElementById("reset-form"), { done: passwordSet });
addEventListener("hashchange", showMode);
showMode();
document.getElementById("ended").hidden = !hasSessionEnded();
landIfSignedIn();
const panel = document.getElementById("qr");
if (panel) offerBinding(panel, signedIn);
