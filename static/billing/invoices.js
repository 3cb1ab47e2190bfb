// /billing: what can be invoiced, asking for it, and the invoices.

import { callSignedIn, isSignedIn, signInFirst } from "../accounts/api.js";
import { submitByApi } from "../accounts/forms.js";

const page = document.getElementById("invoices");
const form = document.getElementById("ask");
const language = document.documentElement.lang;
const money = new Intl.NumberFormat(language, { style: "currency", currency: "CNY" });
const SHOWN = 20; // rows of a list
const TONES = { issued: "", requested: "quiet", issuing: "quiet", cancelled: "quiet", rejected: "bad", red_flushed: "bad" };
let key = crypto.randomUUID(); // of the form as it is: sent twice, it asks once

function fail(error) {
  if (error.status === 401) {
    signInFirst(page.dataset.login);
    return;
  }
  const place = document.getElementById("failure");
  place.textContent = error.message;
  place.hidden = false;
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function when(time) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(time));
}

function row(title, ...details) {
  const item = document.createElement("li");
  const words = document.createElement("div");
  words.append(element("b", title), element("small", details.filter(Boolean).join(" · ")));
  item.append(words);
  return item;
}

function button(text, act) {
  const made = element("button", text, "button quiet small");
  made.type = "button";
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await act();
    } catch (error) {
      fail(error);
    }
    made.disabled = false;
  });
  return made;
}

async function download(invoice) {
  await callSignedIn("GET", `/api/v1/billing/invoices/${invoice.id}`); // with a token that is good for the next call
  const headers = { Authorization: `Bearer ${localStorage.getItem("access_token")}` };
  const answer = await fetch(`/api/v1/billing/invoices/${invoice.id}/pdf`, { headers });
  if (!answer.ok) throw new Error(document.body.dataset.offline);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `${invoice.number}.pdf`;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function takeBack(invoice) {
  await callSignedIn("POST", `/api/v1/billing/invoices/${invoice.id}/cancel`);
  await reload();
}

function invoiceRow(invoice) {
  const list = document.getElementById("list");
  const item = row(invoice.title, when(invoice.created_at), invoice.number || invoice.tax_number, invoice.reason);
  const doing = element("span", "", "doing");
  doing.append(element("span", money.format(invoice.amount), "amount"));
  doing.append(element("span", list.dataset[invoice.status], `tag ${TONES[invoice.status]}`));
  if (invoice.status === "requested") doing.append(button(list.dataset.cancel, () => takeBack(invoice)));
  if (invoice.number) doing.append(button(list.dataset.download, () => download(invoice)));
  item.append(doing);
  return item;
}

function billRow(bill) {
  const item = row(bill.description, when(bill.created_at));
  item.append(element("span", money.format(bill.amount), "amount"));
  return item;
}

function showInvoices({ invoices }) {
  document.getElementById("list").replaceChildren(...invoices.map(invoiceRow));
  document.getElementById("none").hidden = invoices.length > 0;
}

function showAvailable({ amount, bill_count, bills }) {
  document.getElementById("available").textContent = money.format(amount);
  document.getElementById("bills").replaceChildren(...bills.slice(0, SHOWN).map(billRow));
  document.getElementById("no-bills").hidden = bill_count > 0;
  const more = document.getElementById("more");
  more.textContent = more.dataset.text.replace("{count}", bill_count - SHOWN);
  more.hidden = bill_count <= SHOWN;
  form.querySelector("[type=submit]").disabled = amount <= 0;
}

async function reload() {
  try {
    const [balance, available, invoices] = await Promise.all([
      callSignedIn("GET", "/api/v1/users/balance"),
      callSignedIn("GET", "/api/v1/billing/invoices/available"),
      callSignedIn("GET", `/api/v1/billing/invoices?limit=${SHOWN}`),
    ]);
    document.getElementById("balance").textContent = money.format(balance.balance);
    showInvoices(invoices);
    page.hidden = false;
    page.removeAttribute("aria-busy");
    showAvailable(available);
  } catch (error) {
    fail(error);
  }
}

/** A person has no tax number and gets no special invoice. */
function fitToTitle() {
  const isCompany = form.elements.title_type.value === "company";
  for (const place of form.querySelectorAll(".company")) place.hidden = !isCompany;
}

function extra() {
  const isCompany = form.elements.title_type.value === "company";
  const amount = form.elements.amount.value.trim() || null;
  return isCompany ? { amount } : { amount, kind: "ordinary", tax_number: "", details: "" };
}

form.addEventListener("input", () => {
  key = crypto.randomUUID();
  fitToTitle();
});
submitByApi(form, {
  send: (method, path, body) => callSignedIn(method, path, body, { "Idempotency-Key": key }),
  extra,
  done() {
    key = crypto.randomUUID();
    form.elements.amount.value = "";
    form.querySelector(".form-done").hidden = false;
    reload();
  },
});
fitToTitle();
if (isSignedIn()) reload();
else signInFirst(page.dataset.login);
