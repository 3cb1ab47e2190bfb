// Words of the page of tasks: states, money, times. Texts stand in data- attributes of the template.

import { element, place } from "../accounts/parts.js";

const language = document.documentElement.lang;
export const words = place("tasks").dataset;

export { durationText, fill as filled, moneyText } from "../accounts/parts.js";

const fine = new Intl.NumberFormat(language, { style: "currency", currency: "CNY", currencyDisplay: "narrowSymbol", maximumFractionDigits: 6 });

/** Unit prices may be less than a fen. */
export const priceText = (amount) => fine.format(amount);

/** Show a state in its colour and word. */
export function showStatus(tag, status) {
  tag.textContent = words[status] ?? status;
  tag.className = `status ${status}`;
  return tag;
}

export const statusTag = (status) => showStatus(element("span"), status);

const ENGINES = { blender: "Blender", maya: "Maya", arnold: "Arnold", simulated: words.simulated };
export const engineText = ({ engine, engine_version }) => [ENGINES[engine] ?? engine, engine_version].filter(Boolean).join(" ");

/** A list of facts; those without a value are left out. */
export function showFacts(list, facts) {
  list.replaceChildren(...facts.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => {
    const pair = element("div");
    const told = element("dd");
    told.append(value);
    pair.append(element("dt", list.dataset[name]), told);
    return pair;
  }));
}

/** Numbers for people: 1-3, 7. */
export function rangeText(numbers) {
  const spans = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = spans.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else if (number !== last?.[1]) spans.push([number, number]);
  }
  const shown = spans.slice(0, 12).map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(", ");
  return spans.length > 12 ? `${shown} …` : shown;
}

/** Where a path of a drive shows in the file manager. */
export const driveLink = (drive, path) =>
  `${words.drivePage}#/${[drive, ...path.split("/").filter(Boolean)].map(encodeURIComponent).join("/")}`;

export function showText(id, text) {
  place(id).textContent = text;
  place(id).hidden = !text;
}
