// The folders of a drive as a tree. A folder is asked for what lies in it when it is opened, and shows so many at a time.

import { callSignedIn } from "../accounts/api.js";
import { fill } from "../accounts/parts.js";
import { addressOf, parentOf } from "./here.js";
import { button, element, icon } from "./parts.js";

const STEP = 200; // folders that are drawn at once

export class Tree {
  /** In `list` (a `ul` with texts in data-root and data-rest); `enter(path)` hears of the folder that is chosen. */
  constructor(list, { enter, attempt }) {
    this.list = list;
    this.enter = enter;
    this.attempt = attempt;
    this.nodes = new Map(); // by path
    this.drive = "";
    this.at = "/";
    list.addEventListener("click", (event) => this.click(event));
    list.addEventListener("keydown", (event) => this.key(event));
  }

  async ask(path) {
    const query = new URLSearchParams({ path, depth: 1 });
    const { folders, truncated } = await callSignedIn("GET", `/api/v1/drives/${this.drive}/tree?${query}`);
    return Object.assign(folders, { isCut: truncated });
  }

  node({ path, name, has_children }, level) {
    const item = element("li");
    const line = element("div", "", "node");
    const twist = element("span", "", "twist");
    twist.append(icon("next"));
    line.append(twist, icon("folder"), element("span", name));
    line.title = name;
    line.dataset.drop = addressOf({ view: "files", drive: this.drive, path });
    const group = element("ul");
    group.setAttribute("role", "group");
    group.hidden = true;
    item.append(line, group);
    for (const [key, value] of Object.entries({ role: "treeitem", "aria-level": level, "aria-selected": "false", "aria-label": name })) {
      item.setAttribute(key, value);
    }
    if (has_children) item.setAttribute("aria-expanded", "false");
    item.tabIndex = -1;
    item.dataset.path = path;
    const made = { path, level, item, group, folders: null };
    this.nodes.set(path, made);
    return made;
  }

  start(drive) {
    this.drive = drive;
    this.nodes.clear();
    const root = this.node({ path: "/", name: this.list.dataset.root, has_children: true }, 1);
    this.list.replaceChildren(root.item);
    root.item.tabIndex = 0;
    return root;
  }

  /** Draw the folders of a node as far as the one at `until`, at least so many. */
  draw(node, until = "") {
    node.group.querySelector(":scope > .rest")?.remove();
    const drawn = node.group.children.length;
    const wanted = node.folders.findIndex(({ path }) => path === until) + 1;
    const more = node.folders.slice(drawn, Math.max(drawn + STEP, wanted));
    node.group.append(...more.map((folder) => this.node(folder, node.level + 1).item));
    const left = node.folders.length - drawn - more.length;
    if (!left && !node.folders.isCut) return;
    const rest = element("li", "", "rest");
    rest.setAttribute("role", "none");
    const { dataset } = this.list;
    rest.append(left ? button(fill(dataset.rest, { count: left }), "link", () => this.draw(node)) : dataset.cut);
    node.group.append(rest);
  }

  fill(node, folders, until) {
    node.folders = folders;
    node.group.replaceChildren();
    this.draw(node, until);
    if (folders.length) node.item.setAttribute("aria-expanded", "true");
    else node.item.removeAttribute("aria-expanded");
    node.group.hidden = !folders.length;
  }

  async open(node, until) {
    if (!node.folders) this.fill(node, await this.ask(node.path), until);
    else if (until && !this.nodes.has(until)) this.draw(node, until);
    if (!node.folders.length) return;
    node.item.setAttribute("aria-expanded", "true");
    node.group.hidden = false;
  }

  close(node) {
    node.item.setAttribute("aria-expanded", "false");
    node.group.hidden = true;
  }

  isOpen = (node) => node.item.getAttribute("aria-expanded") === "true";

  /** Show the tree of a drive with the folder at `path` in sight and marked; none is with "". */
  async show(drive, path) {
    if (drive !== this.drive) this.start(drive);
    this.at = path;
    const names = path.split("/").filter(Boolean);
    for (let depth = 0; depth <= names.length; depth++) {
      const here = `/${names.slice(0, depth).join("/")}`;
      const node = this.nodes.get(here);
      if (!node || drive !== this.drive) break;
      const next = depth < names.length ? `/${names.slice(0, depth + 1).join("/")}` : "";
      if (next || depth === 0) await this.open(node, next);
      if (this.at !== path) return;
    }
    this.mark();
  }

  mark() {
    for (const { item, path } of this.nodes.values()) item.setAttribute("aria-selected", String(path === this.at));
    const item = this.nodes.get(this.at)?.item;
    if (!item) return;
    this.focusable(item);
    item.firstElementChild.scrollIntoView({ block: "nearest" });
  }

  /** Look anew, and leave open what is open. */
  async refresh() {
    const { drive } = this;
    const open = [...this.nodes.values()].filter(this.isOpen).map(({ path }) => path).sort((a, b) => a.length - b.length);
    const found = await Promise.all(open.map((path) => this.ask(path).catch(() => null)));
    if (drive !== this.drive) return;
    this.start(drive);
    open.forEach((path, at) => {
      const node = this.nodes.get(path);
      if (node && found[at]) this.fill(node, found[at], this.at);
    });
    await this.show(drive, this.at);
  }

  focus() {
    this.list.querySelector('[tabindex="0"]')?.focus();
  }

  focusable(item) {
    for (const other of this.list.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    item.tabIndex = 0;
  }

  nodeOf = (target) => this.nodes.get(target.closest("[role=treeitem]")?.dataset.path);

  click(event) {
    const node = event.target.closest(".node") && this.nodeOf(event.target);
    if (!node) return;
    this.focusable(node.item);
    if (!event.target.closest(".twist")) this.enter(node.path);
    else if (this.isOpen(node)) this.close(node);
    else this.attempt(() => this.open(node));
  }

  key(event) {
    const node = this.nodeOf(event.target);
    if (!node || event.target.closest("button")) return;
    const seen = [...this.list.querySelectorAll("[role=treeitem]")].filter((item) => item.offsetParent);
    const at = seen.indexOf(node.item);
    const focus = (item) => {
      if (!item) return;
      this.focusable(item);
      item.focus();
    };
    const keys = {
      ArrowDown: () => focus(seen[at + 1]),
      ArrowUp: () => focus(seen[at - 1]),
      Home: () => focus(seen[0]),
      End: () => focus(seen.at(-1)),
      ArrowRight: () => (this.isOpen(node) ? focus(seen[at + 1]) : this.attempt(() => this.open(node))),
      ArrowLeft: () => (this.isOpen(node) ? this.close(node) : focus(this.nodes.get(parentOf(node.path))?.item)),
      Enter: () => this.enter(node.path),
      " ": () => this.enter(node.path),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}
