// What the pages of the drive have in common: sizes, times, buttons, small pictures.

import { element } from "../accounts/parts.js";

export { button, element, place, sizeText, timeText } from "../accounts/parts.js";

/** One of the signs of templates/drives/icons.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  made.setAttribute("class", `icon icon-${name}`);
  made.setAttribute("aria-hidden", "true");
  made.append(use);
  return made;
}

const ENDINGS = {
  image: "png jpg jpeg gif webp bmp tif tiff exr hdr psd psb tga dpx avif heic heif svg tx",
  video: "mp4 mov webm mkv avi m4v mpg mpeg wmv",
  audio: "mp3 wav ogg flac m4a aac",
  pdf: "pdf",
  text: "txt md log json xml csv yaml yml ini cfg conf py js css html mel mtl ass usda srt sh bat rst",
  scene: "blend blend1 ma mb max c4d fbx obj abc usd usdc usdz gltf glb stl hip nk",
  zip: "zip rar 7z tar gz bz2 xz",
  sheet: "xls xlsx ods",
};
const KINDS = new Map(Object.entries(ENDINGS).flatMap(([kind, endings]) => endings.split(" ").map((ending) => [ending, kind])));

/** What a file or folder is to people, by its name: the name of its sign. */
export function kindOf({ name, is_folder, mime_type = "" }) {
  if (is_folder) return "folder";
  return KINDS.get(name.slice(name.lastIndexOf(".") + 1).toLowerCase()) ?? (mime_type.startsWith("text/") ? "text" : "file");
}

/** Whether it is rendered from the drive. */
export const isScene = ({ name, is_folder }) => !is_folder && /\.(blend|ma|mb)$/i.test(name);

const MOST_ASKED = 20; // times, until a picture that is being made counts as none
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const pause = (turn) => Math.min(500 * 1.5 ** turn, 5000);

/** The address of a small picture behind the door `preview_url` of an entry; null where there is none. */
export async function picture(ask, door, size) {
  for (let turn = 0; turn < MOST_ASKED; turn++) {
    const { state, preview_url } = await ask("GET", `${door}?size=${size}`);
    if (state !== "making") return preview_url;
    await wait(pause(turn));
  }
  return null;
}

/** Small pictures of rows, each asked for when it comes into sight, few at a time; one that is being made holds up none. */
export class Thumbnails {
  constructor(ask) {
    this.ask = ask;
    this.waiting = [];
    this.free = 4;
    this.watcher = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        this.watcher.unobserve(target);
        this.waiting.push(target);
      }
      this.next();
    });
  }

  /** A place for the picture of an entry, with a sign of what it is until then. */
  of(entry) {
    const frame = element("span", "", `thumb kind-${kindOf(entry)}`);
    frame.setAttribute("aria-hidden", "true");
    frame.append(icon(kindOf(entry)));
    if (entry.preview_url) {
      frame.dataset.door = entry.preview_url;
      this.watcher.observe(frame);
    }
    return frame;
  }

  next() {
    while (this.free && this.waiting.length) {
      const frame = this.waiting.shift();
      if (!frame.isConnected) continue;
      this.free--;
      this.show(frame).finally(() => {
        this.free++;
        this.next();
      });
    }
  }

  async show(frame) {
    try {
      const { state, preview_url } = await this.ask("GET", `${frame.dataset.door}?size=160`);
      if (state === "making") this.askAgain(frame);
      if (!preview_url) return;
      const image = new Image();
      image.src = preview_url;
      image.alt = "";
      await image.decode();
      frame.replaceChildren(image);
    } catch {
      // No picture: the sign stays.
    }
  }

  askAgain(frame) {
    const turn = Number(frame.dataset.turn ?? 0);
    if (turn >= MOST_ASKED) return;
    frame.dataset.turn = turn + 1;
    wait(pause(turn)).then(() => {
      this.waiting.push(frame);
      this.next();
    });
  }
}
