// The password: changed by the old one, or set by a code to the phone.

import { call, callSignedIn, keepTokens, whileTokensChange } from "./api.js";
import { openForm } from "./dialogs.js";
import { submitByApi } from "./forms.js";
import { place } from "./parts.js";
import { changed, say } from "./saying.js";

const [oldForm, codeForm] = ["password-form", "code-form"].map(place);
let user;

export function showPassword(asked) {
  user = asked;
  const { has_password: has, phone } = user;
  place("password-state").textContent = place("password-state").dataset[has ? "set" : "none"];
  place("change-password").hidden = !has;
  const byCode = place("code-password");
  byCode.hidden = !phone;
  byCode.textContent = byCode.dataset[has ? "forgot" : "set"];
  byCode.classList.toggle("quiet", has);
  place("password-phone").hidden = Boolean(has || phone);
  // For what keeps passwords.
  for (const input of document.querySelectorAll("[data-me]")) input.setAttribute("value", user.username);
}

function done(form, text) {
  form.closest("dialog").close();
  say(text);
  changed();
}

place("change-password").addEventListener("click", () => openForm(oldForm));
submitByApi(oldForm, { send: callSignedIn, done: ({ message }) => done(oldForm, message) });
place("code-password").addEventListener("click", () => openForm(codeForm, { phone: user.phone }));
submitByApi(codeForm, {
  /** That ends every session, also this one: it is opened anew. */
  send: (method, path, values) => whileTokensChange(async () => {
    await call(method, path, values);
    keepTokens(await call("POST", "/api/v1/auth/login", { phone: values.phone, password: values.new_password }));
  }),
  done: () => done(codeForm, codeForm.querySelector("[type=submit]").dataset.done),
});
