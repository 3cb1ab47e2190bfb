// What pages ask in between, in a dialog.

import { clearErrors } from "./forms.js";
import { fill, place } from "./parts.js";

for (const close of document.querySelectorAll("dialog [data-close]")) {
  close.addEventListener("click", () => close.closest("dialog").close());
}

/** Open a dialog; what `settle(value)` was called with until it closed, else null. */
export function ask(dialog, begin) {
  return new Promise((done) => {
    let answer = null;
    begin((value) => {
      answer = value;
      dialog.close();
    });
    dialog.addEventListener("close", () => done(answer), { once: true });
    dialog.showModal();
  });
}

/** Whether it is meant: `data-<question>` of #sure-says is what is asked, that of #sure-yes what the button says. */
export function askSure(question, values = {}) {
  place("sure-says").textContent = fill(place("sure-says").dataset[question], values);
  place("sure-yes").textContent = place("sure-yes").dataset[question] ?? place("sure-yes").textContent;
  return ask(place("sure-dialog"), (settle) => (place("sure-yes").onclick = () => settle(true)));
}

/** Open the dialog of a form, with these values and nothing that was typed before. */
export function openForm(form, values = {}) {
  clearErrors(form);
  form.reset();
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  if (!form.closest("dialog").open) form.closest("dialog").showModal();
}
