// /s/<token>: what somebody shared, for whoever has the link. All of it comes from /api/v1/shared/<token>.

import { call, callSignedIn, isSignedIn, signInFirst } from "../accounts/api.js";
import { submitByApi } from "../accounts/forms.js";
import { fill } from "../accounts/parts.js";
import { Thumbnails, button, element, picture, place, sizeText, timeText } from "./parts.js";
import { saveTo } from "./saving.js";

const PAGE = 200;
const token = location.pathname.split("/")[2];
const door = `/api/v1/shared/${token}`;
const page = place("shared");
let key = sessionStorage.getItem(`share ${token}`) ?? "";
let path = "/";
let shown = 0;
const WANTED = `save ${token}`; // what shall be saved once somebody has signed in
let limited = false; // Of what may be downloaded so many times there are small pictures only.

const ask = (method, rest, body) => call(method, `${door}${rest}`, body, { token: key });
const askDoor = (method, url) => call(method, url, undefined, { token: key });
const thumbnails = new Thumbnails(askDoor);

function fail(error) {
  if (error.code === "share_password_required") {
    askPassword();
    return;
  }
  if (error.status === 410 || error.status === 404) page.hidden = true;
  const at = page.hidden ? place("failure") : place("refused");
  at.textContent = error.status === 404 ? place("failure").dataset.unknown : error.message;
  at.hidden = false;
}

/** Do `act`, and say what went wrong with it. */
async function attempt(act) {
  place("refused").hidden = true;
  try {
    await act();
  } catch (error) {
    fail(error);
  }
}

async function download(id) {
  const link = await ask("POST", "/download", { id });
  location.assign(link.download_url);
  await showFacts();
}

/** Keep an entry of the share, once somebody has signed in. */
async function save({ id, name }) {
  if (!isSignedIn()) {
    sessionStorage.setItem(WANTED, JSON.stringify({ id, name }));
    signInFirst(place("save-dialog").dataset.login);
    return;
  }
  const made = await saveTo(name, {
    isLimited: limited,
    save: (where) => callSignedIn("POST", `${door}/save`, { id, key, ...where }),
    isOver(error) {
      const isEnd = error.status === 410 || error.code === "share_password_required";
      if (isEnd) fail(error);
      return isEnd;
    },
  });
  if (!made) return;
  const [text, link] = place("saved").children;
  text.textContent = fill(place("saved").dataset.text, { name: made.name });
  link.href = `${link.dataset.drive}#file/${made.id}`;
  place("saved").hidden = false;
  await showFacts();
}

async function saveWhatWasWanted() {
  const wanted = sessionStorage.getItem(WANTED);
  if (!wanted || !isSignedIn()) return;
  sessionStorage.removeItem(WANTED);
  await save(JSON.parse(wanted));
}

async function look({ name, preview_url }) {
  const url = await picture(askDoor, preview_url, 1600);
  if (!url) {
    place("refused").textContent = page.dataset.none;
    place("refused").hidden = false;
    return;
  }
  place("picture").src = url;
  place("picture").alt = name;
  place("preview").showModal();
}

function row(entry) {
  const item = element("li");
  const about = element("div", "", "about");
  const open = () => attempt(() => enter(`${path === "/" ? "" : path}/${entry.name}`));
  const name = entry.is_folder ? button(entry.name, "link", open) : element("b", entry.name);
  const kind = entry.is_folder ? page.dataset.folder : sizeText(entry.size);
  about.append(name, element("small", `${kind} · ${timeText(entry.modified_at)}`));
  const actions = element("div", "", "actions");
  if (entry.preview_url && !limited) {
    actions.append(button(page.dataset.preview, "button quiet small", () => attempt(() => look(entry))));
  }
  actions.append(button(page.dataset.save, "button quiet small", () => attempt(() => save(entry))));
  const get = () => attempt(() => download(entry.id));
  actions.append(button(page.dataset.download, "button quiet small", get));
  item.append(thumbnails.of(entry), about, actions);
  return item;
}

function showTrail(top) {
  const names = path.split("/").filter(Boolean);
  const steps = [top, ...names].map((name, at) => {
    const target = `/${names.slice(0, at).join("/")}`;
    return button(name, "link", () => attempt(() => enter(target)));
  });
  place("trail").replaceChildren(...steps);
  place("trail").hidden = !names.length;
}

async function more() {
  const query = new URLSearchParams({ path, skip: shown, limit: PAGE });
  const { files, total } = await ask("GET", `/files?${query}`);
  place("files").append(...files.map(row));
  shown += files.length;
  place("more").hidden = shown >= total;
  place("empty").hidden = total > 0;
}

async function enter(target) {
  path = target;
  shown = 0;
  place("files").replaceChildren();
  showTrail(place("name").textContent);
  await more();
}

async function showFacts() {
  const share = await ask("GET", "");
  if (share.needs_password) {
    askPassword();
    return null;
  }
  const { entry, expires_at, downloads_left } = share;
  const facts = entry.is_folder ? [] : [sizeText(entry.size)];
  if (expires_at) facts.push(page.dataset.until.replace("{time}", timeText(expires_at)));
  limited = downloads_left !== null;
  if (limited) facts.push(page.dataset.left.replace("{count}", downloads_left));
  place("name").textContent = entry.name;
  place("facts").textContent = facts.join(" · ");
  page.hidden = false;
  return entry;
}

async function start() {
  const entry = await showFacts();
  if (entry?.is_folder) await enter("/");
  else if (entry?.preview_url) place("files").replaceChildren(row(entry));
  if (!entry) return;
  place("save-all").onclick = () => attempt(() => save(entry));
  await saveWhatWasWanted();
}

function askPassword() {
  page.hidden = true;
  place("locked").hidden = false;
  place("password").focus();
}

submitByApi(place("unlock"), {
  send: (_method, _path, values) => call("POST", `${door}/unlock`, values),
  done: (answer) => {
    key = answer.key;
    sessionStorage.setItem(`share ${token}`, key);
    place("locked").hidden = true;
    attempt(start);
  },
});
place("all").addEventListener("click", () => attempt(() => download(null)));
place("more").addEventListener("click", () => attempt(more));
attempt(start);
