// What the pages of the drive have in common: sizes, times, buttons, small pictures.

import { element } from "../accounts/parts.js";

export { button, element, place, sizeText, timeText } from "../accounts/parts.js";

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
    const frame = element("span", "", entry.is_folder ? "thumb folder" : "thumb");
    frame.setAttribute("aria-hidden", "true");
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
