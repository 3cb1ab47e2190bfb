// Entries of a wallet's ledger, narrowed by type, days and task.

import { element, place, timeText } from "../accounts/parts.js";
import { narrow } from "./address.js";
import { List, attempt, change, download, fill, money, query, tableRow } from "./parts.js";
import { spendingOf, daysAgo } from "./spending.js";

const form = place("entry-filters");
const exporter = place("entry-export");
let currency = "CNY";
let asked = {};
let named = ""; // the wallet whose tasks are offered

const list = new List("entry", "transactions", (entry) => {
  const { dataset } = list.rows;
  const type = dataset[entry.type] ?? entry.type;
  // What is set aside or set free changes no balance.
  const isHold = entry.amount === 0;
  const about = element("div");
  about.append(element("span", entry.description || type));
  const given = entry.gift_change && fill(dataset.given, { amount: change(entry.gift_change, currency) });
  about.append(element("small", [given, `#${entry.number}`].filter(Boolean).join(" · "), "aside"));
  about.append(element("small", `${timeText(entry.created_at)} · ${type}`, "narrow"));
  const amount = isHold ? fill(dataset.held, { amount: change(entry.held_change, currency) }) : change(entry.amount, currency);
  const tone = isHold ? "" : entry.amount > 0 ? "in" : "out";
  const sum = element("div", amount);
  sum.append(element("small", fill(dataset.after, { amount: money(entry.balance_after, currency) }), "narrow"));
  return tableRow(
    [timeText(entry.created_at), "wide"],
    [element("span", type, "tag quiet"), "wide"],
    about,
    [sum, `amount ${tone}`],
    [money(entry.balance_after, currency), "amount after wide"],
  );
});

/** Tasks that cost something in a year, to choose from. */
async function tasksOf(wallet) {
  if (named === wallet.id) return null;
  const { rows } = await spendingOf(wallet, { by: "task", from: daysAgo(364) });
  return rows.filter(({ key }) => key);
}

function offerTasks(wallet, tasks, chosen) {
  const select = form.elements.task_id;
  const option = (value, text) => Object.assign(element("option", text), { value });
  if (tasks) {
    named = wallet.id;
    select.replaceChildren(select.options[0], ...tasks.map(({ key, name }) => option(key, name || key)));
  }
  if (chosen && ![...select.options].some(({ value }) => value === chosen)) select.append(option(chosen, chosen));
}

export async function load(wallet, { type, from, to, task_id }) {
  const filters = { wallet: wallet.id, type, from, to, task_id };
  const [show, tasks] = await Promise.all([list.load("/api/v1/billing/transactions", filters), tasksOf(wallet)]);
  return () => {
    ({ currency } = wallet);
    asked = filters;
    offerTasks(wallet, tasks, task_id);
    for (const name of ["type", "from", "to", "task_id"]) form.elements[name].value = filters[name] ?? "";
    place("entry-clear").hidden = !(type || from || to || task_id);
    show();
  };
}

form.addEventListener("change", () => narrow(Object.fromEntries(new FormData(form))));
form.addEventListener("submit", (event) => event.preventDefault());
place("entry-clear").addEventListener("click", () => narrow({ type: "", from: "", to: "", task_id: "" }));
exporter.addEventListener("click", async () => {
  exporter.disabled = true;
  await attempt(() => download(`/api/v1/billing/transactions/export?${query(asked)}`, "transactions.csv"));
  exporter.disabled = false;
});
