// The profile: picture, name, phone, e-mail, WeChat and balance of who is signed in, each changed in a dialog.

import { callSignedIn } from "./api.js";
import { askSure, openForm } from "./dialogs.js";
import { submitByApi } from "./forms.js";
import { moneyText, place } from "./parts.js";
import { showPicture } from "./picture.js";
import { attempt, changed, say } from "./saying.js";
import { offerWechat } from "./wechat.js";

const [nameForm, phoneForm, emailForm] = ["name-form", "phone-form", "email-form"].map(place);
const showWechat = offerWechat(changed);
let user;

function done(form) {
  form.closest("dialog").close();
  say(form.querySelector("[type=submit]").dataset.done);
  changed();
}

const put = (_method, path, values) => callSignedIn("PUT", path, values);

function showEmail() {
  place("email").textContent = user.email ?? place("email").closest("dl").dataset.none;
  const proved = place("email-proved");
  proved.textContent = user.email_verified ? proved.dataset.yes : proved.dataset.no;
  proved.classList.toggle("warm", !user.email_verified);
  proved.hidden = !user.email;
  const waits = Boolean(user.email) && !user.email_verified;
  place("email-hint").hidden = place("email-again").hidden = !waits;
  place("remove-email").hidden = !user.email;
  place("change-email").textContent = place("change-email").dataset[user.email ? "change" : "add"];
}

function show() {
  place("guest").hidden = !user.is_guest;
  place("username").textContent = user.username;
  place("phone").textContent = user.phone || place("phone").dataset.none;
  for (const id of ["change-phone", "phone-title"]) {
    place(id).textContent = place(id).dataset[user.phone ? "change" : "bind"];
  }
  place("change-phone").classList.toggle("quiet", Boolean(user.phone));
  place("wechat").textContent = user.wechat_openid ? user.wechat_nickname || "✓" : place("wechat").dataset.none;
  place("balance").textContent = moneyText(user.balance);
  showPicture(user);
  showEmail();
  showWechat(user);
}

export async function load(asked) {
  return () => {
    user = asked;
    show();
  };
}

place("change-name").addEventListener("click", () => openForm(nameForm, { username: user.username }));
submitByApi(nameForm, { send: put, done: () => done(nameForm) });
place("change-phone").addEventListener("click", () => openForm(phoneForm));
submitByApi(phoneForm, { send: callSignedIn, done: () => done(phoneForm) });
place("change-email").addEventListener("click", () => openForm(emailForm, { email: user.email ?? "" }));
submitByApi(emailForm, { send: put, done: () => done(emailForm) });
place("email-again").addEventListener("click", ({ target }) => attempt(async () => {
  await callSignedIn("POST", "/api/v1/users/me/email/send-link");
  say(target.dataset.done);
}));
place("remove-email").addEventListener("click", ({ target }) => attempt(async () => {
  if (!(await askSure("email"))) return;
  await callSignedIn("PUT", "/api/v1/users/me", { email: "" });
  say(target.dataset.done);
  changed();
}));
