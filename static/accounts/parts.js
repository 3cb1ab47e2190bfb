// What all our pages have in common: elements, buttons, times, sizes.

const language = document.documentElement.lang;
const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

export const place = (id) => document.getElementById(id);

export function element(name, text = "", classes = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = classes;
  return made;
}

export function button(text, classes, act) {
  const made = element("button", text, classes);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/** A button that is busy while `act` works. */
export function busyButton(text, classes, act) {
  const made = button(text, classes, async () => {
    made.disabled = true;
    try {
      await act();
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

/** A row of a list: a title, and what is said about it. */
export function titledRow(title, ...details) {
  const item = element("li");
  const about = element("div", "", "about");
  about.append(element("b", title), element("small", details.filter(Boolean).join(" · ")));
  item.append(about);
  return item;
}

/** Put a text into the clipboard. On plain http browsers have none for scripts, and copy what is selected in the page. */
export async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const before = document.activeElement;
  const field = element("textarea", text, "sr");
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  before?.focus();
}

const plurals = new Intl.PluralRules(language);

/** Of "one|many", the form that suits a number of things. */
function formOf(text, { count, total }) {
  const [one, many = one] = text.split("|");
  return plurals.select(Number(count ?? total ?? 0)) === "one" ? one : many;
}

/** A text with its {places} filled; of one with a plural the form that suits `count`, or `total` where there is none. */
export const fill = (text, values) => formOf(text, values).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

/** The query of an address, of the values that say anything. */
export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));

const times = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(language, { dateStyle: "medium" });

export const timeText = (time) => times.format(new Date(time));
export const dayText = (time) => days.format(new Date(time));

const yuan = new Intl.NumberFormat(language, { style: "currency", currency: "CNY", currencyDisplay: "narrowSymbol" });
export const moneyText = (amount) => yuan.format(amount);

export function sizeText(size) {
  const step = size ? Math.min(Math.floor(Math.log2(size) / 10), units.length - 1) : 0;
  const options = { style: "unit", unit: units[step], maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, options).format(size / 1024 ** step);
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** Seconds for people, by their two largest units. */
export function durationText(seconds) {
  let left = Math.max(Math.round(seconds), 1);
  const parts = [];
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count && parts.length < 2) parts.push(new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(count));
    else if (parts.length) break;
  }
  return parts.join(" ");
}
