// The picture of who is signed in: chosen, looked at, sent, taken away.

import { callSignedIn } from "./api.js";
import { openForm } from "./dialogs.js";
import { showFace } from "./face.js";
import { submitByApi } from "./forms.js";
import { place } from "./parts.js";
import { attempt, changed, say } from "./saying.js";

const form = place("picture-form");
const file = place("picture-file");
let chosen;

export function showPicture(user) {
  showFace(place("own-face"), user);
  place("picture-remove").hidden = !user.avatar;
}

/** As an address that holds the picture itself: our pages load no others. */
function addressOf(picture) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(picture);
  });
}

file.addEventListener("change", () => attempt(async () => {
  if (!file.files.length) return;
  [chosen] = file.files;
  file.value = ""; // the same one may be chosen again
  place("picture-preview").src = await addressOf(chosen);
  openForm(form);
}));
for (const id of ["picture-pick", "picture-other"]) place(id).addEventListener("click", () => file.click());
submitByApi(form, {
  send(method, path) {
    const body = new FormData();
    body.append("avatar", chosen);
    return callSignedIn(method, path, body);
  },
  done() {
    form.closest("dialog").close();
    say(form.querySelector("[type=submit]").dataset.done);
    changed();
  },
});
place("picture-remove").addEventListener("click", ({ target }) => attempt(async () => {
  await callSignedIn("DELETE", "/api/v1/users/me/avatar");
  say(target.dataset.done);
  changed();
}));
