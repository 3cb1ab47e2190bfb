// What is shared, kept in a drive of one's own (templates/drives/dialogs/save.html).

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { failing } from "../accounts/failing.js";
import { everything } from "../accounts/lists.js";
import { fill } from "../accounts/parts.js";
import { place } from "./parts.js";
import { Tree } from "./tree.js";

const dialog = place("save-dialog");
const { attempt, fail } = failing(place("save-refused"), dialog.dataset.login);
const tree = new Tree(place("save-tree"), { enter: (path) => show({ path }), attempt });
let chosen = { drive: "", path: "/" };

function offer(isTaken) {
  place("save-here").hidden = isTaken;
  place("save-both").hidden = !isTaken;
}

/** While it is saved nobody asks for it once more: each time counts as a download. */
function busy(isBusy) {
  for (const id of ["save-here", "save-both"]) place(id).disabled = isBusy;
}

function show(change) {
  chosen = { ...chosen, ...change };
  offer(false);
  place("save-way").textContent = chosen.path === "/" ? place("save-tree").dataset.root : chosen.path;
  return attempt(() => tree.show(chosen.drive, chosen.path));
}

place("save-drive").addEventListener("change", ({ target }) => show({ drive: target.value, path: "/" }));

/**
 * Let a folder be chosen and do `save({ drive_id, folder_path, on_clash })` until it went well; its answer, or null.
 * `isOver(error)` hears of what is refused, and says whether no other folder would help.
 */
export async function saveTo(name, { save, isLimited, isOver }) {
  const { id: home } = await callSignedIn("GET", "/api/v1/drives/default"); // whoever has none gets one
  const writable = (await everything("/api/v1/drives", "drives")).filter(({ rights }) => rights.includes("write"));
  place("save-drive").replaceChildren(...writable.map((drive) => new Option(drive.name, drive.id)));
  place("save-drive").value = home;
  place("save-drive").closest("label").hidden = writable.length < 2;
  place("save-title").textContent = fill(place("save-title").dataset.text, { name });
  place("save-counts").hidden = !isLimited;
  place("save-refused").hidden = true;
  tree.start(home);
  return ask(dialog, (settle) => {
    const act = (on_clash) => attempt(async () => {
      busy(true);
      try {
        settle(await save({ drive_id: chosen.drive, folder_path: chosen.path, on_clash }));
      } catch (error) {
        if (isOver(error)) settle(null);
        else {
          offer(error.code === "name_taken");
          fail(error);
        }
      } finally {
        busy(false);
      }
    });
    place("save-here").onclick = () => act("refuse");
    place("save-both").onclick = () => act("keep_both");
    show({ drive: home, path: "/" }).then(() => tree.focus());
  });
}
