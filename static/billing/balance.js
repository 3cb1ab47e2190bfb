// The balance of a wallet, what of it was given, and vouchers.

import { callSignedIn } from "../accounts/api.js";
import { submitByApi } from "../accounts/forms.js";
import { dayText, element, place } from "../accounts/parts.js";
import { addressOf } from "./address.js";
import { List, fill, keyed, money, moved } from "./parts.js";
import { loadOrders } from "./recharge.js";

const voucher = place("voucher-form");
let wallet;
const gifts = new List("gift", "gifts", giftRow);

function giftRow(gift) {
  const { left, until, over, always } = gifts.rows.dataset;
  const item = element("li");
  const about = element("div");
  const amounts = { left: money(gift.remaining, wallet.currency), amount: money(gift.amount, wallet.currency) };
  const ended = gift.expires_at && new Date(gift.expires_at) < new Date();
  const end = gift.expires_at ? fill(ended ? over : until, { time: dayText(gift.expires_at) }) : always;
  about.append(element("b", gift.description), element("small", `${fill(left, amounts)} · ${end}`));
  item.append(about);
  if (gift.remaining === 0) item.append(element("span", ended ? gifts.rows.dataset.ended : gifts.rows.dataset.spent, "tag quiet"));
  else item.append(element("span", money(gift.remaining, wallet.currency), "amount"));
  return item;
}

export async function load(target) {
  const [showOrders, showGifts, user] = await Promise.all([
    loadOrders(target),
    gifts.load("/api/v1/billing/gifts", { wallet: target.id }),
    callSignedIn("GET", "/api/v1/users/me"),
  ]);
  return () => {
    wallet = target;
    for (const name of ["available", "balance", "held", "gift"]) place(name).textContent = money(wallet[name], wallet.currency);
    place("held-entries").href = addressOf("entries", { wallet: wallet.id, type: "hold" });
    showOrders();
    showGifts();
    voucher.hidden = user.is_guest; // they bind a phone first
    place("voucher-guest").hidden = !user.is_guest;
  };
}

submitByApi(voucher, {
  send: keyed(),
  // A code has its currency: one's own wallets need no name.
  extra: () => (wallet.owner.kind === "team" ? { wallet_id: wallet.id } : {}),
  done({ currency: given, gift }) {
    voucher.reset();
    const says = voucher.querySelector(".form-done");
    const text = given === "CNY" ? says.dataset.text : says.dataset.points;
    says.textContent = fill(text, { amount: money(gift.amount, given) });
    says.hidden = false;
    moved();
  },
});
