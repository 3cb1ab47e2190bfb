// /billing: the money of whoever is signed in, and of the teams whose money they see. What is shown is in the address.

import { isSignedIn, signInFirst } from "../accounts/api.js";
import { everything } from "../accounts/lists.js";
import { element, place } from "../accounts/parts.js";
import { showTab } from "../accounts/tabs.js";
import { addressOf, narrow, readAddress } from "./address.js";
import * as balance from "./balance.js";
import * as bills from "./bills.js";
import * as entries from "./entries.js";
import * as invoices from "./invoices.js";
import * as membership from "./membership.js";
import { attempt, fill } from "./parts.js";
import * as spending from "./spending.js";
import * as statements from "./statements.js";

/** Each has `load(wallet, filters)`, which asks for what it shows and returns a function that shows it. */
const views = { balance, entries, bills, statements, spending, membership, invoices };
const page = place("billing");
const title = document.title;
const picker = place("wallets");
let turn = 0;

function nameOf({ owner, currency }) {
  const name = owner.kind === "team" ? fill(picker.dataset.team, owner) : picker.dataset.own;
  return currency === "CNY" ? name : fill(picker.dataset.points, { name });
}

function showWallets(wallets, wallet) {
  picker.replaceChildren(...wallets.map((each) => {
    const option = element("option", nameOf(each));
    option.value = each.id;
    return option;
  }));
  picker.value = wallet.id;
  place("wallet-pick").hidden = wallets.length < 2;
  place("parked").hidden = !wallet.is_parked;
}

/** Show what the address says; what arrives after one has gone elsewhere is not shown. */
async function arrive() {
  const mine = ++turn;
  const { tab: asked, filters } = readAddress();
  const tab = asked in views ? asked : "balance";
  const wallets = await everything("/api/v1/billing/wallets", "wallets");
  const wallet = wallets.find(({ id }) => id === filters.wallet) ?? wallets[0];
  const show = await views[tab].load(wallet, filters);
  if (mine !== turn) return;
  page.hidden = false;
  page.removeAttribute("aria-busy");
  showWallets(wallets, wallet);
  showTab(page, tab, title, (name) => addressOf(name, { wallet: filters.wallet }));
  show();
}

picker.addEventListener("change", () => narrow({ wallet: picker.value, task_id: "" }));
for (const event of ["hashchange", "money-moved", "online"]) addEventListener(event, () => attempt(arrive));
if (isSignedIn()) attempt(arrive);
else signInFirst(page.dataset.login);
