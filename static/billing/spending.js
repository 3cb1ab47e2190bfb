// What was spent: day by day as bars, by task, engine or member as a table with bars.

import { callSignedIn } from "../accounts/api.js";
import { clearErrors, showError } from "../accounts/forms.js";
import { dayText, element, place } from "../accounts/parts.js";
import { addressOf, narrow, readAddress } from "./address.js";
import { fill, money, query, tableRow } from "./parts.js";

const DAY = 86_400_000; // milliseconds
const form = place("spending-filters");
const chart = place("spending-chart");
const body = place("spending-rows");

/** The day of Shanghai so many days before today, as in 2026-11-30. */
export const daysAgo = (count) =>
  new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Shanghai" }).format(Date.now() - count * DAY);

export const spendingOf = ({ id }, filters) =>
  callSignedIn("GET", `/api/v1/billing/spending?${query({ wallet: id, ...filters })}`);

function bar(part, classes) {
  const made = element("span", "", classes);
  made.style.setProperty("--part", part);
  return made;
}

function nameOf(row, by) {
  if (by === "day") return dayText(`${row.key}T00:00:00`);
  if (!row.key) return body.dataset.none;
  if (by !== "task") return row.name;
  const link = element("a", row.name);
  link.href = addressOf("entries", { wallet: readAddress().filters.wallet, task_id: row.key });
  return link;
}

function showChart({ rows, currency }, most) {
  chart.replaceChildren(...rows.map((row) => {
    const made = bar(most ? row.spent / most : 0, row.spent ? "day some" : "day");
    made.title = `${dayText(`${row.key}T00:00:00`)} · ${money(row.spent, currency)}`;
    return made;
  }));
  place("spending-most").textContent = money(most, currency);
  place("spending-first").textContent = dayText(`${rows[0].key}T00:00:00`);
  place("spending-last").textContent = dayText(`${rows.at(-1).key}T00:00:00`);
}

function show(answer) {
  const { rows, by, currency } = answer;
  const most = Math.max(...rows.map(({ spent }) => spent), 0);
  const isDay = by === "day";
  place("spending-sum").textContent = money(answer.spent, currency);
  place("spending-back").textContent = fill(place("spending-back").dataset.text, { amount: money(answer.refunded, currency) });
  place("spending-back").hidden = !answer.refunded;
  place("spending-figure").hidden = !isDay;
  if (isDay) showChart(answer, most);
  const shown = isDay ? rows.filter(({ spent, refunded }) => spent || refunded).reverse() : rows;
  place("spending-what").textContent = body.dataset[by];
  body.replaceChildren(...shown.map((row) => tableRow(
    nameOf(row, by),
    [bar(most ? row.spent / most : 0, "line"), "wide share"],
    [money(row.spent, currency), "amount"],
    [row.refunded ? money(row.refunded, currency) : "", "amount after back"],
  )));
  place("spending-table").className = `${isDay ? "by-day" : ""} ${answer.refunded ? "" : "none-back"}`;
  place("spending-table").hidden = !shown.length;
  place("spending-none").hidden = shown.length > 0;
}

export async function load(wallet, { by = "day", from, to }) {
  const last = to || daysAgo(0);
  const wanted = { by, from: from || daysAgo(29), to: last };
  clearErrors(form);
  const answer = await spendingOf(wallet, wanted).catch((error) => {
    if (error.status !== 422) throw error;
    return error;
  });
  return () => {
    for (const [name, value] of Object.entries(wanted)) form.elements[name].value = value;
    place("spending-result").hidden = answer instanceof Error;
    if (answer instanceof Error) showError(form, answer);
    else show(answer);
  };
}

form.addEventListener("change", () => narrow(Object.fromEntries(new FormData(form))));
form.addEventListener("submit", (event) => event.preventDefault());
