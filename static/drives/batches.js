// What is on its way into the drive, one batch after the other, and how far each is.

import { durationText, fill } from "../accounts/parts.js";
import { changed } from "./here.js";
import { button, element, place, sizeText } from "./parts.js";
import { attempt, words } from "./saying.js";

const MOST_TOLD = 50; // files that failed, by name
const LATELY = 10_000; // milliseconds over which the speed is measured, or longer where less is heard
const SOON = 2_000; // milliseconds until there is a speed to speak of
const panel = place("uploads");
let queue = Promise.resolve();
let waiting = 0; // batches that are not over

export function showPanel() {
  panel.hidden = false;
}

/** Bytes a second of late, from what had been sent at which time. */
class Pace {
  constructor() {
    this.marks = [];
  }

  /** null until it is known. */
  of(sent) {
    const now = performance.now();
    this.marks.push([now, sent]);
    while (now - this.marks[1]?.[0] > LATELY) this.marks.shift();
    const [since, before] = this.marks[0];
    return now - since < SOON ? null : ((sent - before) * 1000) / (now - since);
  }
}

class Batch {
  constructor(name, stop) {
    this.item = element("li");
    this.name = element("b", name);
    this.says = element("small");
    this.bar = element("progress");
    Object.assign(this.bar, { max: 1, value: 0 });
    this.bar.setAttribute("aria-label", name);
    this.faults = element("ul", "", "faults");
    this.stop = button(words.stop, "button quiet small", stop);
    const head = element("div", "", "about");
    head.append(this.name, this.says);
    this.item.append(head, this.stop, this.bar, this.faults);
    this.pace = new Pace();
    place("batches").prepend(this.item);
    showPanel();
  }

  tell({ done, failed, total, sent, size, spared }) {
    const texts = place("batches").dataset;
    const isOver = done + failed === total;
    const rate = this.pace.of(sent - spared);
    const values = { done, total, failed, sent: sizeText(sent), size: sizeText(size), rate: sizeText(Math.round(rate ?? 0)) };
    if (rate) values.left = durationText((size - sent) / rate);
    const way = rate ? "timed" : "going";
    this.says.textContent = fill(texts[!isOver ? way : failed ? "failed" : "done"], values);
    this.bar.value = size ? sent / size : Number(isOver);
    if (isOver) this.over(failed);
  }

  fault(path, reason) {
    if (this.faults.children.length < MOST_TOLD) this.faults.append(element("li", `${path}: ${reason}`));
  }

  over(isBad) {
    this.stop.hidden = true;
    this.bar.hidden = !isBad;
    this.item.classList.toggle("bad", Boolean(isBad));
  }

  end(text) {
    this.says.textContent = text;
    this.over(true);
  }
}

async function show(name, act) {
  const control = new AbortController();
  const batch = new Batch(name, () => control.abort());
  try {
    const isDone = await act({
      signal: control.signal,
      tell: (state) => batch.tell(state),
      fault: (at, reason) => batch.fault(at, reason),
    });
    if (!isDone) batch.end(words.stopped);
  } catch (error) {
    batch.end(error.message);
    throw error;
  } finally {
    changed();
    dispatchEvent(new Event("batch-over"));
  }
}

/** Do `act({ signal, tell, fault })` behind the batches before, and show how far it is; it answers whether it came to its end. */
export function queued(name, act) {
  waiting++;
  queue = queue.then(() => attempt(() => show(name, act))).finally(() => waiting--);
}

addEventListener("beforeunload", (event) => waiting && event.preventDefault());

place("upload-close").addEventListener("click", () => (panel.hidden = true));
