// Lists that go on: a page of rows, and a button for the next.

import { callSignedIn } from "./api.js";
import { place, query } from "./parts.js";

const MOST = 100; // what one answer of any list holds

/** Everything of `key` in the list at `path`, answer after answer of at most `most`. */
export async function everything(path, key, most = MOST) {
  const found = [];
  let total;
  do {
    const answer = await callSignedIn("GET", `${path}?${query({ skip: found.length, limit: most })}`);
    if (!answer[key].length) break; // something went meanwhile
    found.push(...answer[key]);
    total = answer.total;
  } while (found.length < total);
  return found;
}

/** A list in `<id>-rows`, with `<id>-none` for none and `<id>-more` that asks for what follows. */
export class List {
  /** `row(item)` makes the element of an item of `key` in the answer; `attempt` says what goes wrong with going on. */
  constructor(id, key, row, { attempt, page = 50 }) {
    this.rows = place(`${id}-rows`);
    this.none = place(`${id}-none`);
    this.more = place(`${id}-more`);
    this.key = key;
    this.row = row;
    this.page = page;
    this.more.addEventListener("click", () => attempt(async () => this.add(await this.ask())));
  }

  /** Ask for the first page; what is returned shows it, and has the `answer`. */
  async load(path, filters) {
    const asked = { path, filters, shown: 0 };
    const answer = await this.ask(asked);
    const show = () => {
      this.asked = asked;
      this.rows.replaceChildren();
      this.add(answer);
    };
    return Object.assign(show, { answer });
  }

  ask({ path, filters, shown } = this.asked) {
    return callSignedIn("GET", `${path}?${query({ ...filters, skip: shown, limit: this.page })}`);
  }

  add(answer) {
    const found = answer[this.key];
    this.asked.shown += found.length;
    this.rows.append(...found.map(this.row));
    this.more.hidden = !found.length || this.asked.shown >= answer.total;
    this.none.hidden = answer.total > 0;
  }

  /** Take away the row of something that is gone. */
  drop(item) {
    item.remove();
    this.asked.shown -= 1;
    this.none.hidden = this.rows.children.length > 0 || !this.more.hidden;
  }
}
