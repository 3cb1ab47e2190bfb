// Forms that go by the API: busy while it works, errors beside their fields, codes sent with a countdown.

import { call } from "./api.js";

// Errors that name no field, and the fields they are about: the first that the form has.
const FIELDS = {
  email_taken: ["email"],
  image_invalid: ["avatar"],
  mail_failed: ["email"],
  already_invited: ["phone"],
  code_invalid: ["verification_code", "code"],
  username_taken: ["username"],
  phone_taken: ["phone"],
  phone_not_registered: ["phone"],
};
const RESEND_SECONDS = 60;

function mark(input, text) {
  const place = document.getElementById(`${input.id}-error`);
  if (!place) return; // one of several to choose from
  place.textContent = text;
  place.hidden = !text;
  input.toggleAttribute("aria-invalid", Boolean(text));
  if (text) input.setAttribute("aria-invalid", "true");
}

export function clearErrors(form) {
  for (const input of form.querySelectorAll("input, select, textarea")) mark(input, "");
  for (const place of form.querySelectorAll(".form-error, .form-done")) place.hidden = true;
}

/** Each message beside its field, the rest above the button; the first field at fault gets the focus. */
export function showError(form, error) {
  clearErrors(form);
  const found = error.fields?.map(({ loc, msg }) => [form.elements[loc.at(-1)], msg]).filter(([input]) => input) ?? [];
  const named = (FIELDS[error.code] ?? []).map((name) => form.elements[name]).find(Boolean);
  if (!found.length && named) found.push([named, error.message]);
  for (const [input, text] of found) mark(input, text);
  if (found.length) {
    found[0][0].focus();
  } else {
    const place = form.querySelector(".form-error");
    place.textContent = error.message;
    place.hidden = false;
  }
}

async function whileBusy(button, act) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await act();
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

/** What was typed; a password alone may begin or end with a blank. */
function valuesOf(form) {
  const typed = [...new FormData(form)];
  return Object.fromEntries(typed.map(([name, text]) => [name, form.elements[name].type === "password" ? text : text.trim()]));
}

/** Send `form` when it is submitted. `extra()` adds to its values; `failed` may deal with an error itself. */
export function submitByApi(form, { send = call, extra = () => ({}), done, failed = () => false }) {
  const button = form.querySelector("[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearErrors(form);
    const values = { ...valuesOf(form), ...extra() };
    try {
      done(await whileBusy(button, () => send("POST", form.getAttribute("action"), values)));
    } catch (error) {
      if (!failed(error)) showError(form, error);
    }
  });
  for (const send of form.querySelectorAll(".send-code")) {
    send.addEventListener("click", () => sendCode(form, send));
  }
}

async function sendCode(form, button) {
  clearErrors(form);
  const wanted = { phone: form.elements.phone.value.trim(), purpose: button.dataset.purpose };
  try {
    await whileBusy(button, () => call("POST", "/api/v1/auth/send-code", wanted));
    countDown(button, RESEND_SECONDS);
    form.querySelector("[autocomplete=one-time-code]").focus();
  } catch (error) {
    showError(form, error);
    if (error.status === 429) countDown(button, error.retryAfter || RESEND_SECONDS);
  }
}

function countDown(button, seconds) {
  const label = button.textContent;
  const end = Date.now() + seconds * 1000;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) {
      button.textContent = document.body.dataset.wait.replace("{seconds}", left);
      return;
    }
    clearInterval(timer);
    button.textContent = label;
    button.disabled = false;
  };
  const timer = setInterval(tick, 250);
  tick();
}
