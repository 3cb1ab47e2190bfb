// What the page of the drive says: what went wrong, what was done, and the way back from it.

import { failing } from "../accounts/failing.js";
import { button, element, place } from "./parts.js";

const STAYS = 8000; // milliseconds

export const words = place("drive").dataset;
export const { fail, attempt } = failing(place("refused"), words.login);
let gone = 0;

/** Say for a moment what was done; `undo` takes it back. */
export function say(text, undo) {
  const toast = place("toast");
  const parts = [element("span", text)];
  const close = () => (toast.hidden = true);
  if (undo) {
    parts.push(button(words.undo, "button small", () => {
      close();
      attempt(undo);
    }));
  }
  toast.replaceChildren(...parts);
  toast.hidden = false;
  clearTimeout(gone);
  gone = setTimeout(close, STAYS);
}
