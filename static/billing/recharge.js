// Recharging: an order, the ways to pay it, and what becomes of it while one waits.

import { callSignedIn } from "../accounts/api.js";
import { submitByApi } from "../accounts/forms.js";
import { element, place, timeText } from "../accounts/parts.js";
import { attempt, doing, fail, fill, keyed, money, moved, query } from "./parts.js";

const WAITED = 2000; // milliseconds between two looks at an order whose dialog is open
const LISTED = 5000;
const OVER = 5; // orders of before that are listed
const form = place("recharge-form");
const list = place("order-rows");
const dialog = place("pay");
let wallet;
let orders = [];
let paying; // the order of the dialog
let looking; // the timer of the next look

const isOpen = ({ status }) => status === "pending";
const isLate = (order) => new Date(order.expires_at) <= new Date();

// --- The dialog of one order ---

function stateOf(order) {
  if (order.status === "closed") return isLate(order) ? "expired" : "closed";
  return order.status === "pending" ? order.channel : order.status;
}

function showOrder(order) {
  paying = order;
  const state = stateOf(order);
  for (const part of dialog.querySelectorAll("[data-on]")) part.hidden = !part.dataset.on.split(" ").includes(state);
  place("pay-amount").textContent = money(order.amount);
  place("pay-number").textContent = order.order_no;
  place("pay-failure").textContent = order.failure;
  place("pay-says").textContent = place("pay-says").dataset[state];
  if (order.qr_svg) place("pay-qr").src = `data:image/svg+xml,${encodeURIComponent(order.qr_svg)}`;
  if (order.code_url.startsWith("http") && place("pay-code")) place("pay-code").href = order.code_url;
  if (order.pay_url) place("pay-page").href = order.pay_url;
  countDown();
  if (!dialog.open) dialog.showModal();
}

/** The minutes left; they count down without being read out. */
function countDown() {
  if (!paying) return;
  const seconds = Math.max(0, Math.ceil((new Date(paying.expires_at) - Date.now()) / 1000));
  const left = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  place("pay-left").textContent = fill(place("pay-left").dataset.text, { left });
}

async function pay(order) {
  showOrder(await callSignedIn("GET", `/api/v1/billing/recharges/${order.id}`));
  look();
}

async function close(order) {
  const closed = await callSignedIn("POST", `/api/v1/billing/recharges/${order.id}/cancel`);
  if (dialog.open) showOrder(closed);
  await refresh();
}

// --- The orders of the wallet ---

function orderRow(order) {
  const { pay: payText, close: closeText } = list.dataset;
  const item = element("li");
  const about = element("div");
  about.append(element("b", list.dataset[order.channel]), element("small", timeText(order.created_at)));
  const right = element("span", "", "doing");
  right.append(element("span", money(order.amount), "amount"));
  if (isOpen(order)) {
    // An order that its channel has not answered for cannot be paid.
    if (order.code_url || order.pay_url) right.append(doing(payText, "button small", () => pay(order)));
    right.append(doing(closeText, "button quiet small", () => close(order)));
  } else {
    const tone = { paid: "", closed: "quiet", failed: "bad" }[order.status];
    right.append(element("span", list.dataset[order.status], `tag ${tone}`));
  }
  item.append(about, right);
  return item;
}

function show(found) {
  if (JSON.stringify(found) === JSON.stringify(orders) && list.children.length) return; // a button keeps its focus
  orders = found;
  const over = orders.filter((order) => !isOpen(order)).slice(0, OVER);
  const shown = orders.filter((order) => isOpen(order) || over.includes(order));
  list.replaceChildren(...shown.map(orderRow));
  place("order-none").hidden = shown.length > 0;
}

const ask = async ({ id }) =>
  (await callSignedIn("GET", `/api/v1/billing/recharges?${query({ wallet: id, limit: 50 })}`)).recharges;

/** Look again while something is waited for. */
function look() {
  clearTimeout(looking);
  if (place("balance-view").hidden || !orders.some(isOpen)) return;
  looking = setTimeout(async () => {
    try {
      await refresh();
    } catch (error) {
      if (error.status === 401) fail(error);
      else look(); // also after a broken connection: the order is paid or not
    }
  }, dialog.open ? WAITED : LISTED);
}

/** Ask how the orders stand, and tell what has become of those that waited. */
async function refresh() {
  const asked = wallet;
  const found = await ask(asked);
  if (asked !== wallet) return;
  const waited = new Set(orders.filter(isOpen).map(({ id }) => id));
  const ended = found.filter((order) => waited.has(order.id) && !isOpen(order));
  show(found);
  for (const order of ended) tell(order);
  if (ended.length) moved();
  look();
}

function tell(order) {
  if (dialog.open && paying.id === order.id) showOrder(order);
  const says = place("order-says");
  says.textContent = fill(says.dataset[order.status], { amount: money(order.amount) });
  says.className = { paid: "form-done", closed: "hint", failed: "form-error" }[order.status];
  says.hidden = false;
}

/** What the wallet waits for; the answer shows it. */
export async function loadOrders(target) {
  const [{ channels }, found] = await Promise.all([callSignedIn("GET", "/api/v1/billing/channels"), ask(target)]);
  return () => {
    if (target.id !== wallet?.id) place("order-says").hidden = true;
    wallet = target;
    show(found);
    for (const radio of form.elements.channel) {
      radio.disabled = !channels.includes(radio.value);
      radio.closest("label").hidden = radio.disabled;
    }
    const chosen = [...form.elements.channel].find((radio) => radio.checked && !radio.disabled);
    if (!chosen && channels.length) form.elements.channel.value = channels[0];
    form.hidden = !channels.length || wallet.currency !== "CNY";
    place("recharge-none").hidden = !form.hidden;
    look();
  };
}

for (const preset of form.querySelectorAll("[data-amount]")) {
  preset.addEventListener("click", () => {
    form.elements.amount.value = preset.dataset.amount;
    form.elements.amount.focus();
  });
}
submitByApi(form, {
  send: keyed(),
  extra: () => ({ wallet_id: wallet.id }),
  done(order) {
    orders = [order, ...orders];
    showOrder(order);
    attempt(refresh);
  },
});
place("pay-close").addEventListener("click", async () => {
  try {
    await close(paying);
  } catch (error) {
    if (error.status === 401) fail(error);
    else place("pay-says").textContent = error.message;
  }
});
dialog.addEventListener("close", look);
setInterval(countDown, 1000);
// Whoever comes back from the page of Alipay sees at once what became of it.
addEventListener("focus", () => orders.some(isOpen) && attempt(refresh));
