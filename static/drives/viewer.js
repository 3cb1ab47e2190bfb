// A look at one file after the other: pictures, films, sound, text, the first page of a PDF.

import { callSignedIn } from "../accounts/api.js";
import { fill } from "../accounts/parts.js";
import { element, icon, isScene, kindOf, picture, place, sizeText } from "./parts.js";

const MOST_TEXT = 262_144; // bytes of a text that are fetched
const dialog = place("viewer");
const stage = place("stage");
const texts = stage.dataset;
let files = [];
let at = 0;
let doors = null; // { download(entry), render(entry), show(entry) }

/** A picture through the door of previews; null where there is none. */
async function drawn(entry) {
  const url = entry.preview_url && (await picture(callSignedIn, entry.preview_url, 1600));
  if (!url) return null;
  const image = new Image();
  image.id = "picture";
  image.alt = entry.name;
  image.src = url;
  await image.decode();
  return image;
}

/** A film or a sound that this browser plays; null where it does not. */
function played(entry, kind) {
  const media = element(kind);
  if (!media.canPlayType(entry.mime_type)) return null;
  Object.assign(media, { controls: true, preload: "metadata", src: entry.download_url });
  media.setAttribute("aria-label", entry.name);
  return new Promise((done) => {
    media.addEventListener("loadedmetadata", () => done(media), { once: true });
    media.addEventListener("error", () => done(null), { once: true });
  });
}

/** UTF-8, or what Windows in China writes. */
function decoded(bytes) {
  try {
    // A character that was cut at the end of a part is none of the text.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: bytes.byteLength === MOST_TEXT });
  } catch {
    return new TextDecoder("gb18030").decode(bytes);
  }
}

async function written(entry) {
  const answer = await fetch(entry.download_url, { headers: entry.size > MOST_TEXT ? { Range: `bytes=0-${MOST_TEXT - 1}` } : {} });
  if (!answer.ok) return null;
  const text = element("pre", decoded(await answer.arrayBuffer()));
  text.tabIndex = 0;
  if (entry.size <= MOST_TEXT) return text;
  const both = element("div", "", "cut-text");
  both.append(text, element("p", fill(texts.cut, { size: sizeText(MOST_TEXT) }), "hint"));
  return both;
}

/** What there is to see of a file, or null. */
async function seen(entry) {
  const kind = kindOf(entry);
  if (kind === "video" || kind === "audio") {
    const media = await played(entry, kind);
    if (media) return media;
  }
  if (kind === "text" && entry.size) return written(entry);
  const image = await drawn(entry);
  if (!image || kind !== "pdf") return image;
  const page = element("figure");
  page.append(image, element("figcaption", texts.page));
  return page;
}

function nothing(entry) {
  const none = element("div", "", "no-look");
  none.append(icon(kindOf(entry)), element("p", texts.none));
  return none;
}

async function show() {
  const entry = files[at];
  place("viewer-name").textContent = entry.name;
  place("viewer-count").textContent = files.length > 1 ? `${at + 1} / ${files.length}` : "";
  const render = place("viewer-render");
  const hadFocus = document.activeElement === render;
  render.hidden = !isScene(entry);
  if (hadFocus && render.hidden) place("viewer-download").focus(); // the keys go on
  place("viewer-back").hidden = place("viewer-next").hidden = files.length < 2;
  const spinner = element("span", "", "spinner");
  spinner.setAttribute("role", "status");
  spinner.setAttribute("aria-label", texts.making);
  stage.replaceChildren(spinner);
  doors.show(entry);
  let found = null;
  try {
    found = await seen(entry);
  } catch {
    // What cannot be fetched or decoded is not shown.
  }
  if (entry !== files[at] || !dialog.open) return;
  stage.replaceChildren(found ?? nothing(entry));
}

function turn(steps) {
  if (files.length < 2) return;
  at = (at + steps + files.length) % files.length;
  show();
}

/** Show a file of a list; arrow keys lead to the others. */
export function view(entry, list) {
  files = list.filter(({ is_folder }) => !is_folder);
  at = Math.max(files.findIndex(({ id }) => id === entry.id), 0);
  if (!files.length) [files, at] = [[entry], 0];
  dialog.showModal();
  show();
}

export function begin(given) {
  doors = given;
  place("viewer-back").addEventListener("click", () => turn(-1));
  place("viewer-next").addEventListener("click", () => turn(1));
  place("viewer-download").addEventListener("click", () => doors.download(files[at]));
  place("viewer-render").addEventListener("click", () => doors.render(files[at]));
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("video, audio, pre")) return;
    if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "ArrowRight") turn(1);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => stage.replaceChildren()); // a film stops
}
