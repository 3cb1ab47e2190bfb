// The place in the address: #<tab>?wallet=<id>&<filters of the tab>.

import { query } from "./parts.js";

export function readAddress() {
  const [tab, filters] = location.hash.slice(1).split("?");
  return { tab, filters: Object.fromEntries(new URLSearchParams(filters ?? "")) };
}

export function addressOf(tab, filters) {
  const text = String(query(filters));
  return text ? `#${tab}?${text}` : `#${tab}`;
}

/** Go to what `change` makes of the filters. */
export function narrow(change) {
  const { tab, filters } = readAddress();
  location.hash = addressOf(tab, { ...filters, ...change });
}
