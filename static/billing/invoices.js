// Invoices of a wallet: what can be invoiced, asking for it, and the invoices.

import { callSignedIn } from "../accounts/api.js";
import { submitByApi } from "../accounts/forms.js";
import { dayText, element, place, titledRow } from "../accounts/parts.js";
import { narrow } from "./address.js";
import { doing, download, fill, keyed, money, moved, query } from "./parts.js";

const form = place("ask");
const days = place("invoice-days");
const list = place("invoice-rows");
const chosen = new Map(); // bills by id
const SHOWN = 20; // rows of a list
const TONES = { issued: "", requested: "quiet", issuing: "quiet", cancelled: "quiet", rejected: "bad", red_flushed: "bad" };
let wallet;

async function takeBack(invoice) {
  await callSignedIn("POST", `/api/v1/billing/invoices/${invoice.id}/cancel`);
  moved();
}

function invoiceRow(invoice) {
  const item = titledRow(invoice.title, dayText(invoice.created_at), invoice.number || invoice.tax_number, invoice.reason);
  const right = element("span", "", "doing");
  right.append(element("span", money(invoice.amount), "amount"));
  right.append(element("span", list.dataset[invoice.status], `tag ${TONES[invoice.status]}`));
  if (invoice.status === "requested") right.append(doing(list.dataset.cancel, "button quiet small", () => takeBack(invoice)));
  if (invoice.number) {
    const save = () => download(`/api/v1/billing/invoices/${invoice.id}/pdf`, `${invoice.number}.pdf`);
    right.append(doing(list.dataset.download, "button quiet small", save));
  }
  item.append(right);
  return item;
}

function showChosen() {
  const says = place("invoice-chosen");
  const sum = [...chosen.values()].reduce((total, { amount }) => total + amount, 0);
  says.textContent = fill(says.dataset.text, { count: chosen.size, amount: money(sum) });
  says.hidden = !chosen.size;
}

function billRow(bill) {
  const item = titledRow(bill.description, dayText(bill.created_at));
  const box = Object.assign(element("input"), { type: "checkbox", ariaLabel: bill.description });
  box.addEventListener("change", () => {
    if (box.checked) chosen.set(bill.id, bill);
    else chosen.delete(bill.id);
    showChosen();
  });
  item.prepend(box);
  item.append(element("span", money(bill.amount), "amount"));
  return item;
}

function show({ amount, bill_count, bills }, { invoices }) {
  list.replaceChildren(...invoices.map(invoiceRow));
  place("invoice-none").hidden = invoices.length > 0;
  place("invoiceable").textContent = money(amount);
  place("invoiceable-rows").replaceChildren(...bills.slice(0, SHOWN).map(billRow));
  place("invoiceable-none").hidden = bill_count > 0;
  const more = place("invoiceable-more");
  more.textContent = fill(more.dataset.text, { count: bill_count - SHOWN });
  more.hidden = bill_count <= SHOWN;
  form.querySelector("[type=submit]").disabled = amount <= 0;
}

export async function load(target, { from, to }) {
  const doors = [
    `invoices/available?${query({ wallet: target.id, from, to })}`,
    `invoices?wallet=${target.id}&limit=${SHOWN}`,
  ];
  const answers = await Promise.all(doors.map((door) => callSignedIn("GET", `/api/v1/billing/${door}`)));
  return () => {
    wallet = target;
    days.elements.from.value = from ?? "";
    days.elements.to.value = to ?? "";
    chosen.clear();
    showChosen();
    show(...answers);
  };
}

/** A person has no tax number and gets no special invoice. */
function fitToTitle() {
  const isCompany = form.elements.title_type.value === "company";
  for (const part of form.querySelectorAll(".company")) part.hidden = !isCompany;
}

function extra() {
  const isCompany = form.elements.title_type.value === "company";
  const more = {
    amount: form.elements.amount.value.trim() || null,
    wallet_id: wallet.id,
    first_day: days.elements.from.value || null,
    last_day: days.elements.to.value || null,
  };
  if (chosen.size) more.bills = [...chosen.keys()];
  return isCompany ? more : { ...more, kind: "ordinary", tax_number: "", details: "" };
}

days.addEventListener("change", () => narrow(Object.fromEntries(new FormData(days))));
days.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", fitToTitle);
submitByApi(form, {
  send: keyed(),
  extra,
  done() {
    form.elements.amount.value = "";
    form.querySelector(".form-done").hidden = false;
    moved();
  },
});
fitToTitle();
