// A menu under the finger: what can be done with what is chosen. Its items are the buttons of the tools that fit.

import { element, place } from "./parts.js";

const menu = place("menu");
let back = null; // what had the focus before

function close() {
  if (menu.hidden) return;
  menu.hidden = true;
  if (back?.isConnected) back.focus({ preventScroll: true });
}

function item(tool) {
  const made = element("button", "", "menu-item");
  made.type = "button";
  made.tabIndex = -1;
  made.setAttribute("role", "menuitem");
  made.append(...[...tool.childNodes].map((node) => node.cloneNode(true)));
  made.classList.toggle("danger", tool.classList.contains("danger"));
  made.addEventListener("click", () => {
    close();
    tool.click();
  });
  return made;
}

/** Open the menu of these buttons where the event happened. */
export function openMenu(event, tools) {
  event.preventDefault();
  event.stopPropagation();
  back = document.activeElement;
  menu.replaceChildren(...tools.map(item));
  menu.hidden = false;
  const at = (event.currentTarget ?? event.target).getBoundingClientRect();
  const isPointer = event.type === "contextmenu" && event.clientX;
  const [x, y] = isPointer ? [event.clientX, event.clientY] : [at.right - menu.offsetWidth, at.bottom];
  menu.style.left = `${Math.max(8, Math.min(x, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`;
  menu.firstElementChild?.focus();
}

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (to !== undefined) items.at(to % items.length)?.focus();
  else if (event.key === "Escape" || event.key === "Tab") close();
  else return;
  event.preventDefault();
});
addEventListener("pointerdown", (event) => !menu.contains(event.target) && close());
addEventListener("resize", close);
for (const away of ["wheel", "touchmove"]) addEventListener(away, close, { passive: true });
