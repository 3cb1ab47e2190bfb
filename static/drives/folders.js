// A folder of any drive one may write to, chosen in a dialog with its tree (templates/drives/folder_dialog.html).

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { fill } from "../accounts/parts.js";
import { failing } from "../accounts/failing.js";
import { askName } from "./dialogs.js";
import { drives, here, joined, may } from "./here.js";
import { place } from "./parts.js";
import { words } from "./saying.js";
import { Tree } from "./tree.js";

const dialog = place("folder-dialog");
const { attempt } = failing(place("folder-refused"), words.login);
let chosen = { drive: "", path: "/" };
const tree = new Tree(place("folder-tree"), { enter: (path) => show({ path }), attempt });

function show(change) {
  chosen = { ...chosen, ...change };
  place("folder-way").textContent = chosen.path === "/" ? place("folder-tree").dataset.root : chosen.path;
  return attempt(() => tree.show(chosen.drive, chosen.path));
}

place("folder-drive").addEventListener("change", ({ target }) => show({ drive: target.value, path: "/" }));
place("folder-make").addEventListener("click", () => attempt(async () => {
  const body = (file_name) => ({ drive_id: chosen.drive, folder_path: chosen.path, file_name });
  const made = await askName("make", "", (name) => callSignedIn("POST", "/api/v1/files", body(name)));
  if (!made) return;
  await tree.refresh();
  await show({ path: joined(made.folder_path, made.name) });
}));

/** Let a folder be chosen for `action` (move, copy, restore): `{ drive, path }`, or null. `restore` stays in its drive. */
export function chooseFolder(action, count) {
  const writable = drives.filter(({ id }) => may("write", id) && (action !== "restore" || id === here.drive));
  const start = writable.find(({ id }) => id === here.drive) ?? writable[0];
  const texts = place("folder-title").dataset;
  place("folder-title").textContent = fill(texts[action], { count });
  place("folder-here").textContent = place("folder-here").dataset[action];
  place("folder-refused").hidden = true;
  place("folder-drive").replaceChildren(...writable.map(({ id, name }) => new Option(name, id)));
  place("folder-drive").value = start.id;
  place("folder-drive").closest("label").hidden = writable.length < 2;
  tree.start(start.id);
  return ask(dialog, (settle) => {
    place("folder-here").onclick = () => settle(chosen);
    const path = start.id === here.drive && here.view === "files" ? here.path : "/";
    show({ drive: start.id, path }).then(() => tree.focus());
  });
}
