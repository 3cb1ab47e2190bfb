// Scenes and their files, chosen out of the drives.

import { callSignedIn } from "../accounts/api.js";
import { everything } from "../accounts/lists.js";
import { chooseFile } from "../drives/places.js";
import { words } from "./texts.js";

const ENDINGS = [".blend", ".ma", ".mb", ".ass", ".ass.gz"];

/** The drives, the one that is meant where none is named first. */
async function drives() {
  const home = await callSignedIn("GET", "/api/v1/drives/default");
  const all = await everything("/api/v1/drives", "drives");
  return [home, ...all.filter(({ id }) => id !== home.id)];
}

/** A scene out of any drive; null where none was chosen. */
export async function chooseScene() {
  return chooseFile("scene", await drives(), ENDINGS, words.root);
}

/** Any file of the drive `id`; null where none was chosen. */
export async function chooseOther(id) {
  const found = (await drives()).filter((drive) => drive.id === id);
  return found.length ? chooseFile("file", found, [], words.root) : null;
}
