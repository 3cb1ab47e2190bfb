// Links for strangers: made, changed and ended, of one file or folder or all of a drive.

import { callSignedIn } from "../accounts/api.js";
import { clearErrors, submitByApi } from "../accounts/forms.js";
import { copyText, fill } from "../accounts/parts.js";
import { addressOf, here, may, parentOf } from "./here.js";
import { button, element, icon, place, timeText } from "./parts.js";
import { attempt } from "./saying.js";

const PAGE = 100;
const form = place("share-form");
const texts = place("shares").dataset;
let shared = null; // { id, name, drive } of what the dialog is about
let editing = null; // the link that the form changes; it makes one where there is none
let visit = 0;

const daysLeft = (share) => Math.max(1, Math.ceil((new Date(share.expires_at) - Date.now()) / 86_400_000));
const toShow = (share) => ({
  expires_in_days: share.expires_at ? String(daysLeft(share)) : "",
  max_downloads: share.max_downloads ? String(share.max_downloads) : "",
});

/** Let the form change a link, or make a new one (null). */
function edit(share) {
  editing = share;
  clearErrors(form);
  form.reset();
  place("share-made").hidden = true;
  for (const [name, value] of Object.entries(share ? toShow(share) : {})) form.elements[name].value = value;
  place("share-open").hidden = !share?.has_password;
  place("share-no-edit").hidden = !share;
  for (const id of ["share-submit", "share-password-label"]) {
    place(id).textContent = place(id).dataset[share ? "change" : "make"];
  }
  for (const item of place("shares").children) item.classList.toggle("chosen-row", item.dataset.id === share?.id);
}

function stateOf(share) {
  const isOver = share.expires_at && new Date(share.expires_at) < Date.now();
  const end = share.expires_at ? fill(isOver ? texts.over : texts.until, { time: timeText(share.expires_at) }) : texts.forever;
  const count = share.max_downloads ? `${share.download_count} / ${share.max_downloads}` : share.download_count;
  const rest = [fill(texts.count, { count })];
  if (share.has_password) rest.push(texts.locked);
  return { end, rest: rest.join(" · ") };
}

/** A link in a list: `change` edits it, `gone` hears that it was ended. */
function shareRow(share, { title, change, gone }) {
  const item = element("li");
  item.dataset.id = share.id;
  const { end, rest } = stateOf(share);
  const about = element("div", "", "about");
  if (title) about.append(title, element("small", `${end} · ${rest}`));
  else about.append(element("b", end), element("small", rest));
  item.append(about, button(texts.change, "button quiet small", change));
  const revoke = button(texts.revoke, "button quiet small", () => attempt(async () => {
    revoke.disabled = true;
    await callSignedIn("DELETE", `/api/v1/shares/${share.id}`);
    item.remove();
    gone();
  }));
  item.append(revoke);
  return item;
}

async function showOfEntry() {
  const query = new URLSearchParams({ drive_id: shared.drive, entry_id: shared.id, is_revoked: false, limit: PAGE });
  const { shares } = await callSignedIn("GET", `/api/v1/shares?${query}`);
  const rowOf = (share) => shareRow(share, { change: () => edit(share), gone: () => editing?.id === share.id && edit(null) });
  place("shares").replaceChildren(...shares.map(rowOf));
}

const numberOf = (text) => (text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text));

/** What is asked of a link that is there: what was left as it is stays as it is. */
function changes({ password, no_password, ...numbers }) {
  const before = toShow(editing);
  const changed = Object.entries(numbers).filter(([name, value]) => value !== before[name]);
  const asked = Object.fromEntries(changed.map(([name, value]) => [name, numberOf(value)]));
  if (password || no_password) asked.password = no_password ? "" : password;
  return asked;
}

submitByApi(form, {
  send: (method, path, { password, no_password, expires_in_days, max_downloads }) => {
    if (editing) {
      const asked = changes({ password, no_password, expires_in_days, max_downloads });
      return callSignedIn("PUT", `${path}/${editing.id}`, asked);
    }
    const numbers = { expires_in_days: numberOf(expires_in_days), max_downloads: numberOf(max_downloads) };
    return callSignedIn(method, path, { entry_id: shared.id, password, ...numbers });
  },
  done: async ({ url }) => {
    edit(null);
    if (url) {
      place("share-url").value = url;
      place("share-made").hidden = false;
      place("share-url").select();
    }
    await showOfEntry();
    if (here.view === "shares") await load();
  },
});
place("share-no-edit").addEventListener("click", () => edit(null));
place("share-copy").addEventListener("click", async () => {
  place("share-url").select();
  await copyText(place("share-url").value);
});

/** Make links to a file or folder, change and end those there are; `share` is changed at once. Throws ApiError. */
export async function shareEntry({ id, name, drive }, share = null) {
  shared = { id, name, drive };
  edit(null);
  place("share-name").textContent = name;
  await showOfEntry();
  edit(share);
  place("share-dialog").showModal();
}

// --- All links of a drive ---

const list = place("all-shares");

function rowOfAll(share) {
  const name = share.path.slice(share.path.lastIndexOf("/") + 1);
  const link = element("a", name, "link");
  link.href = addressOf({ view: "files", drive: share.drive_id, path: share.is_folder ? share.path : parentOf(share.path) });
  link.title = share.path;
  const entry = { id: share.entry_id, name, drive: share.drive_id };
  const row = shareRow(share, { title: link, change: () => attempt(() => shareEntry(entry, share)), gone: () => attempt(load) });
  row.prepend(icon(share.is_folder ? "folder" : "file"));
  return row;
}

/** Show the links of the drive of here; what arrives after one has gone elsewhere is not shown. */
export async function load() {
  const mine = ++visit;
  place("shares-forbidden").hidden = may("share");
  place("no-shares").hidden = place("shares-more").hidden = true;
  if (!may("share")) {
    list.replaceChildren();
    return;
  }
  const answer = await ask(0);
  if (mine !== visit) return;
  list.replaceChildren();
  add(answer);
}

const ask = (skip) =>
  callSignedIn("GET", `/api/v1/shares?${new URLSearchParams({ drive_id: here.drive, is_revoked: false, skip, limit: PAGE })}`);

function add({ shares, total }) {
  list.append(...shares.map(rowOfAll));
  place("no-shares").hidden = total > 0;
  place("shares-more").hidden = !shares.length || list.children.length >= total;
}

place("shares-more").addEventListener("click", () => attempt(async () => {
  const mine = visit;
  const answer = await ask(list.children.length);
  if (mine === visit) add(answer);
}));

export const leave = () => visit++;
