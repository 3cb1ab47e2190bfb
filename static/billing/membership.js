// Plans: what one has and until when, and what another would cost.

import { callSignedIn } from "../accounts/api.js";
import { dayText, element, place, sizeText } from "../accounts/parts.js";
import { addressOf } from "./address.js";
import { doing, fill, keyed, money, moved } from "./parts.js";

const words = place("plan-words").dataset;
const dialog = place("plan-dialog");
const confirm = place("plan-confirm");
const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent", maximumFractionDigits: 1 });
const send = keyed();
let act; // what confirming does

/** The membership, the plans with what they would cost now, and the balance they are paid from. */
function ask() {
  const doors = ["membership", "plans", "balance"];
  return Promise.all(doors.map((door) => callSignedIn("GET", `/api/v1/billing/${door}`)));
}

function untilText({ status, period_end, cancel_at_period_end, next_level }, plans) {
  if (!status || status === "ended") return words.free;
  const date = dayText(period_end);
  if (status === "grace") return fill(words.owed, { date });
  if (cancel_at_period_end) return fill(words.ends, { date });
  if (next_level !== null) return fill(words.changes, { date, plan: plans.find(({ level }) => level === next_level).name });
  return fill(words.renews, { date });
}

function gives(plan) {
  const none = words.unlimited;
  const storage = plan.storage_size === null ? none : sizeText(plan.storage_size);
  const frames = plan.concurrent_frames === null ? none : plan.concurrent_frames;
  const discount = plan.discount ? fill(words.discount, { percent: percent.format(plan.discount) }) : words.full;
  const priority = words[`priority${plan.max_priority}`];
  return [[words.rendering, discount], [words.storage, storage], [words.frames, frames], [words.priority, priority]];
}

/** What the artist may do about a plan: the name of it, what it needs now, and the call; null for nothing. */
function offerOf(plan, mine) {
  const isPaid = mine.status === "active";
  const change = () => send("POST", "/api/v1/billing/membership", { level: plan.level });
  if (plan.level === 0) {
    const goesOn = (isPaid || mine.status === "grace") && !mine.cancel_at_period_end;
    return goesOn ? { name: "cancel", needs: 0, call: () => callSignedIn("POST", "/api/v1/billing/membership/cancel") } : null;
  }
  if (!isPaid) return { name: "buy", needs: plan.price_now, call: change };
  if (plan.level === mine.plan.level || plan.level === mine.next_level) return null;
  if (plan.level > mine.plan.level) return { name: "raise", needs: plan.price_now, call: change };
  return { name: "lower", needs: 0, call: change };
}

/** Ask whether it is meant, with what it costs at this moment. */
async function question(level) {
  const [mine, { plans }, { available }] = await ask();
  const plan = plans.find((each) => each.level === level);
  const offer = offerOf(plan, mine);
  if (!offer) {
    moved();
    return;
  }
  act = offer.call;
  const values = { plan: plan.name, amount: money(offer.needs), price: money(plan.price), date: mine.period_end && dayText(mine.period_end) };
  place("plan-question").textContent = fill(words[`ask_${offer.name}`], values);
  place("plan-error").hidden = true;
  const short = offer.needs > available;
  place("plan-short").hidden = !short;
  place("plan-missing").textContent = fill(words.short, { available: money(available) });
  confirm.disabled = short;
  confirm.textContent = offer.needs ? fill(words.pay, { amount: money(offer.needs) }) : words.confirm;
  dialog.showModal();
}

function card(plan, mine) {
  const isMine = plan.level === mine.plan.level;
  const made = element("li", "", isMine ? "card plan mine" : "card plan");
  const head = element("h3", plan.name);
  if (isMine) head.append(element("span", words.mine, "tag"));
  const price = element("p", money(plan.price), "price");
  price.append(element("small", words.month));
  const facts = element("dl", "", "facts");
  for (const [name, value] of gives(plan)) {
    const fact = element("div");
    fact.append(element("dt", name), element("dd", value));
    facts.append(fact);
  }
  made.append(head, price, facts);
  const offer = offerOf(plan, mine);
  if (offer) {
    const text = words[offer.name];
    const open = doing(text, offer.needs ? "button" : "button quiet", () => question(plan.level));
    open.setAttribute("aria-label", `${text}: ${plan.name}`);
    made.append(open);
    if (offer.needs && offer.needs !== plan.price) made.append(element("p", fill(words.now, { amount: money(offer.needs) }), "hint"));
  }
  return made;
}

export async function load() {
  const [mine, { plans }] = await ask();
  return () => {
    place("plan-name").textContent = mine.plan.name;
    place("plan-until").textContent = untilText(mine, plans);
    place("plan-until").classList.toggle("warned", mine.status === "grace" || mine.cancel_at_period_end);
    const waits = mine.cancel_at_period_end || mine.next_level !== null;
    place("plan-acts").replaceChildren();
    if (waits) {
      place("plan-acts").append(doing(words.keep, "button small", async () => {
        await callSignedIn("POST", "/api/v1/billing/membership/resume");
        moved();
      }));
    }
    place("plans").replaceChildren(...plans.map((plan) => card(plan, mine)));
  };
}

confirm.addEventListener("click", async () => {
  confirm.disabled = true;
  confirm.setAttribute("aria-busy", "true");
  try {
    await act();
    dialog.close();
    moved();
  } catch (error) {
    place("plan-error").textContent = error.message;
    place("plan-error").hidden = false;
  }
  confirm.disabled = false;
  confirm.removeAttribute("aria-busy");
});
place("plan-recharge").addEventListener("click", () => dialog.close());
place("plan-recharge").href = addressOf("balance", {});
