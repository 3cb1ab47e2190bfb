// What the parts of /billing have in common: amounts, keys of POSTs that move money, lists that go on, files.

import { callSignedIn, signInFirst } from "../accounts/api.js";
import { button, element, place } from "../accounts/parts.js";

const language = document.documentElement.lang;
const PAGE = 50; // rows of a list
const yuan = { style: "currency", currency: "CNY", currencyDisplay: "narrowSymbol" };

function format(amount, options, sign = {}) {
  // What is less than half a fen would be 0.00: then all six places.
  const tiny = amount !== 0 && Math.abs(amount) < 0.005;
  const places = { minimumFractionDigits: 2, maximumFractionDigits: tiny ? 6 : 2 };
  return new Intl.NumberFormat(language, { ...options, ...places, ...sign }).format(amount);
}

/** An amount with two places, in the wallet's currency. */
export const money = (amount, currency = "CNY") => format(amount, currency === "CNY" ? yuan : {});

/** The same with its sign: what came in or went out. */
export const change = (amount, currency = "CNY") =>
  format(amount, currency === "CNY" ? yuan : {}, { signDisplay: "exceptZero" });

export const number = (value) => new Intl.NumberFormat(language, { maximumFractionDigits: 6 }).format(value);

export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

/** A link with filters, as far as they say anything. */
export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));

export function fail(error) {
  if (error.status === 401) {
    signInFirst(place("billing").dataset.login);
    return;
  }
  place("failure").textContent = error.message;
  place("failure").hidden = false;
}

/** Do `act`, and say what went wrong with it. */
export async function attempt(act) {
  place("failure").hidden = true;
  try {
    return await act();
  } catch (error) {
    return fail(error);
  }
}

/** A button that is busy while `act` works. */
export function doing(text, classes, act) {
  const made = button(text, classes, async () => {
    made.disabled = true;
    await attempt(act);
    made.disabled = false;
  });
  return made;
}

/** Show everything anew: money has moved. */
export const moved = () => dispatchEvent(new Event("money-moved"));

/** Whether the platform has refused for good. After anything else it may have done what was asked. */
const isRefusal = ({ status, code }) =>
  (status >= 400 && status < 500 && code !== "request_under_way") || code === "payment_channel_refused";

/** `callSignedIn` for POSTs that move money: until it is answered, the same request is sent under the same Idempotency-Key. */
export function keyed() {
  let key;
  let asked;
  return async (method, path, body) => {
    const content = JSON.stringify([path, body]);
    if (content !== asked) [key, asked] = [crypto.randomUUID(), content];
    try {
      const answer = await callSignedIn(method, path, body, { "Idempotency-Key": key });
      asked = undefined;
      return answer;
    } catch (error) {
      if (isRefusal(error)) asked = undefined;
      throw error;
    }
  };
}

/** A list in `<id>-rows`, with `<id>-none` for none and `<id>-more` that asks for what follows. */
export class List {
  constructor(id, key, row) {
    this.rows = place(`${id}-rows`);
    this.none = place(`${id}-none`);
    this.more = place(`${id}-more`);
    this.key = key;
    this.row = row;
    this.more.addEventListener("click", () => attempt(async () => this.add(await this.ask())));
  }

  /** Ask for the first page; what is returned shows it. */
  async load(path, filters) {
    const asked = { path, filters, shown: 0 };
    const answer = await this.ask(asked);
    return () => {
      this.asked = asked;
      this.rows.replaceChildren();
      this.add(answer);
    };
  }

  ask({ path, filters, shown } = this.asked) {
    return callSignedIn("GET", `${path}?${query({ ...filters, skip: shown, limit: PAGE })}`);
  }

  add(answer) {
    const found = answer[this.key];
    this.asked.shown += found.length;
    this.rows.append(...found.map(this.row));
    this.more.hidden = !found.length || this.asked.shown >= answer.total;
    this.none.hidden = answer.total > 0;
  }
}

/** Cells of a table: texts, elements, or `[text, classes]`. */
export function tableRow(...cells) {
  const row = element("tr");
  for (const cell of cells) {
    const [content, classes] = Array.isArray(cell) ? cell : [cell, ""];
    const made = element("td", "", classes);
    made.append(content);
    row.append(made);
  }
  return row;
}

/** Save what a door answers as a file. */
export async function download(path, name) {
  await callSignedIn("GET", "/api/v1/users/balance"); // with a token that is good for the next call
  const headers = { Authorization: `Bearer ${localStorage.getItem("access_token")}` };
  let answer;
  try {
    answer = await fetch(path, { headers });
  } catch {
    throw new Error(document.body.dataset.offline);
  }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? document.body.dataset.offline);
  const link = element("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
