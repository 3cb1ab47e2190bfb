// What /account and /teams say: what went wrong, and what was done.

import { failing } from "./failing.js";
import { List as Rows } from "./lists.js";
import { busyButton, place } from "./parts.js";

const STAYS = 6000; // milliseconds
let gone = 0;

export const { fail, attempt } = failing(place("failure"), document.querySelector("[data-login]").dataset.login);

/** A button that is busy while `act` works. */
export const doing = (text, classes, act) => busyButton(text, classes, () => attempt(act));

/** Say for a moment what was done. */
export function say(text) {
  place("done").textContent = text;
  place("done").hidden = false;
  clearTimeout(gone);
  gone = setTimeout(() => (place("done").hidden = true), STAYS);
}

/** What is shown is no longer so: it is asked for anew. */
export const changed = () => dispatchEvent(new Event("account-changed"));

/** A list that says here what goes wrong with it. */
export class List extends Rows {
  constructor(id, key, row, page = 10) {
    super(id, key, row, { attempt, page });
  }
}
