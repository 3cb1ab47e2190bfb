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

const times = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(language, { dateStyle: "medium" });

export const timeText = (time) => times.format(new Date(time));
export const dayText = (time) => days.format(new Date(time));

export function sizeText(size) {
  const step = size ? Math.min(Math.floor(Math.log2(size) / 10), units.length - 1) : 0;
  const options = { style: "unit", unit: units[step], maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, options).format(size / 1024 ** step);
}
