// What the file manager asks in between: a name, and a word from who is sure.

import { ask, askSure } from "../accounts/dialogs.js";
import { clearErrors, submitByApi } from "../accounts/forms.js";
import { fill } from "../accounts/parts.js";
import { place } from "./parts.js";

let actOnName = null;
let settleName = null;

submitByApi(place("name-form"), {
  send: (_method, _path, { file_name }) => actOnName(file_name),
  done: (entry) => settleName(entry),
});

/** Ask for a name and do `act(name)` with it, until it went well; the answer, or null. */
export function askName(title, name, act) {
  const form = place("name-form");
  place("name-title").textContent = place("name-title").dataset[title];
  clearErrors(form);
  form.elements.file_name.value = name;
  actOnName = act;
  return ask(place("name-dialog"), (settle) => {
    settleName = settle;
    const end = name.lastIndexOf(".");
    // Once it is open.
    queueMicrotask(() => form.elements.file_name.setSelectionRange(0, end > 0 ? end : name.length));
  });
}

/** Whether it is meant, of who types `word`. */
export async function askTyped(question, values, word) {
  const typed = place("sure-word");
  const yes = place("sure-yes");
  typed.labels[0].textContent = fill(typed.dataset.label, { word });
  typed.value = "";
  typed.oninput = () => (yes.disabled = typed.value.trim() !== word);
  yes.disabled = true;
  place("sure-type").hidden = false;
  try {
    return await askSure(question, values);
  } finally {
    yes.disabled = false;
    place("sure-type").hidden = true;
  }
}
