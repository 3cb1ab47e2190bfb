// The end of the account: asked for here with a proof; the banner of the page takes it back.

import { callSignedIn } from "./api.js";
import { openForm } from "./dialogs.js";
import { showError, submitByApi } from "./forms.js";
import { fill, moneyText, place } from "./parts.js";
import { changed } from "./saying.js";

const form = place("delete-form");
const other = place("delete-other");
let user;

export function showDeletion(asked) {
  user = asked;
  place("delete-card").hidden = Boolean(user.deletion_due_at);
}

/** By the password or a code; whoever has neither a password nor a phone has but their session. */
function proveBy(way) {
  for (const part of form.querySelectorAll("[data-proof]")) part.hidden = part.dataset.proof !== way;
  for (const name of ["password", "verification_code"]) form.elements[name].value = "";
  other.textContent = other.dataset[way] ?? "";
  other.onclick = () => {
    proveBy(way === "password" ? "code" : "password");
    form.querySelector("[data-proof]:not([hidden]) :is(input:not([readonly], [hidden]))").focus();
  };
}

place("delete-account").addEventListener("click", () => {
  const money = place("delete-money");
  money.textContent = user.balance > 0 ? fill(money.dataset.text, { balance: moneyText(user.balance) }) : "";
  other.hidden = !(user.has_password && user.phone);
  proveBy(user.has_password ? "password" : user.phone ? "code" : "session");
  openForm(form, { phone: user.phone ?? "" });
});

/** Whoever is the only owner of a team with others hands it over first. */
function failed(error) {
  if (error.code !== "last_owner") return false;
  showError(form, error);
  const says = form.querySelector(".form-error");
  says.append(" ", fill(says.dataset.team, { teams: error.body.teams.map(({ name }) => name).join("、") }));
  return true;
}

submitByApi(form, {
  send: (method, path, { password, verification_code }) => callSignedIn(method, path, { password, verification_code }),
  failed,
  done() {
    form.closest("dialog").close();
    changed();
    scrollTo(0, 0);
  },
});
