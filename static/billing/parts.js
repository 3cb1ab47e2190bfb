// What the parts of /billing have in common: amounts, keys of POSTs that move money, lists that go on, files.

import { ApiError, callSignedIn } from "../accounts/api.js";
import { failing } from "../accounts/failing.js";
import { List as Rows } from "../accounts/lists.js";
import { busyButton, element, place } from "../accounts/parts.js";

export { fill, query } from "../accounts/parts.js";

const language = document.documentElement.lang;
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

export const { fail, attempt } = failing(place("failure"), place("billing").dataset.login);

/** A button that is busy while `act` works. */
export const doing = (text, classes, act) => busyButton(text, classes, () => attempt(act));

/** Show everything anew: money has moved. */
export const moved = () => dispatchEvent(new Event("money-moved"));

/** Whether the platform has refused for good. After anything else it may have done what was asked. */
const isRefusal = ({ status, code }) =>
  (status >= 400 && status < 500 && code !== "request_under_way") || code === "payment_channel_refused";

/** 128 random bits. `randomUUID` is not there on plain http. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");

/** `callSignedIn` for POSTs that move money: until it is answered, the same request is sent under the same Idempotency-Key. */
export function keyed() {
  let key;
  let asked;
  return async (method, path, body) => {
    const content = JSON.stringify([path, body]);
    if (content !== asked) [key, asked] = [newKey(), content];
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

/** A list that says here what goes wrong with it. */
export class List extends Rows {
  constructor(id, key, row) {
    super(id, key, row, { attempt });
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
  const offline = { detail: document.body.dataset.offline, code: "offline" };
  const answer = await fetch(path, { headers }).catch(() => {
    throw new ApiError(0, offline, 0);
  });
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => offline), 0);
  const link = element("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
