// Tabs that are links: which one is shown stands in the address.

import { place } from "./parts.js";

/** Show `<current>-view` alone, mark its link and name it in the title; `addressOf(tab)` is where each leads. */
export function showTab(page, current, title, addressOf = (tab) => `#${tab}`) {
  for (const link of page.querySelectorAll("[data-tab]")) {
    const { tab } = link.dataset;
    link.href = addressOf(tab);
    link.removeAttribute("aria-current");
    place(`${tab}-view`).hidden = tab !== current;
  }
  const link = page.querySelector(`[data-tab=${current}]`);
  link.setAttribute("aria-current", "page");
  link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.clientWidth / 2;
  document.title = `${link.dataset.name ?? link.textContent} · ${title}`;
}
