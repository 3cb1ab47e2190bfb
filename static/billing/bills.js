// Bills of a wallet: what was charged for, line by line.

import { dayText, element, place } from "../accounts/parts.js";
import { addressOf, narrow, readAddress } from "./address.js";
import { List, money, number, tableRow } from "./parts.js";

const task = place("bill-task");
let wallet;

const list = new List("bill", "bills", (bill) => {
  const { dataset } = list.rows;
  const box = element("details", "", "bill");
  const head = element("summary");
  const about = element("span", "", "about");
  about.append(element("b", bill.description || dataset[bill.kind]), element("small", `${dayText(bill.created_at)} · ${dataset[bill.kind]}`));
  head.append(about, element("span", money(bill.amount, wallet.currency), "amount"));
  box.append(head, linesOf(bill));
  if (bill.task_id) box.append(...linksOf(bill));
  const item = element("li");
  item.append(box);
  return item;
});

function linksOf({ task_id }) {
  const { entries, task, tasks } = list.rows.dataset;
  const { wallet: name } = readAddress().filters;
  const targets = [[task, `${tasks}#/${task_id}`], [entries, addressOf("entries", { wallet: name, task_id })]];
  return targets.map(([text, href]) => Object.assign(element("a", text), { href }));
}

function linesOf(bill) {
  const table = element("table", "", "lines");
  const head = element("thead");
  const titles = element("tr");
  const { item, quantity, price, amount } = list.rows.dataset;
  for (const [text, classes] of [[item, ""], [quantity, "amount"], [price, "amount"], [amount, "amount"]]) {
    const title = element("th", text, classes);
    title.scope = "col";
    titles.append(title);
  }
  head.append(titles);
  const body = element("tbody");
  body.append(...bill.lines.map((line) => tableRow(
    line.description,
    [number(line.quantity), "amount"],
    [number(line.unit_price), "amount"],
    [money(line.amount, wallet.currency), "amount"],
  )));
  table.append(head, body);
  return table;
}

export async function load(target, { task_id, from, to }) {
  const show = await list.load("/api/v1/billing/bills", { wallet: target.id, task_id, from, to });
  return () => {
    wallet = target;
    task.hidden = !task_id;
    show();
  };
}

place("bill-all").addEventListener("click", () => narrow({ task_id: "" }));
