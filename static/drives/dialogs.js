// What the file manager asks in between: a name, how to share, whether one is sure.

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { clearErrors, submitByApi } from "../accounts/forms.js";
import { button, element, place, timeText } from "./parts.js";

export { askSure } from "../accounts/dialogs.js";

let actOnName = null;
let settleName = null;

submitByApi(place("name-form"), {
  send: (_method, _path, { file_name }) => actOnName(file_name),
  done: (entry) => settleName(entry),
});

/** Ask for a name and do `act(name)` with it, until it went well; the answer, or null. */
export function askName(title, name, act) {
  const form = place("name-form");
  place("name-title").textContent = place("name-title").dataset[title];
  clearErrors(form);
  form.elements.file_name.value = name;
  actOnName = act;
  return ask(place("name-dialog"), (settle) => {
    settleName = settle;
    const end = name.lastIndexOf(".");
    // Once it is open.
    queueMicrotask(() => form.elements.file_name.setSelectionRange(0, end > 0 ? end : name.length));
  });
}

const shareForm = place("share-form");
let shared = null;
let editing = null; // the link that the form changes; it makes one where there is none

const daysLeft = (share) => Math.max(1, Math.ceil((new Date(share.expires_at) - Date.now()) / 86_400_000));
const toShow = (share) => ({
  expires_in_days: share.expires_at ? String(daysLeft(share)) : "",
  max_downloads: share.max_downloads ? String(share.max_downloads) : "",
});

/** Let the form change a link, or make a new one (null). */
function edit(share) {
  editing = share;
  clearErrors(shareForm);
  shareForm.reset();
  place("share-made").hidden = true;
  for (const [name, value] of Object.entries(share ? toShow(share) : {})) shareForm.elements[name].value = value;
  place("share-open").hidden = !share?.has_password;
  place("share-no-edit").hidden = !share;
  for (const id of ["share-submit", "share-password-label"]) {
    place(id).textContent = place(id).dataset[share ? "change" : "make"];
  }
  for (const item of place("shares").children) item.classList.toggle("chosen-row", item.dataset.id === share?.id);
}

function sharedRow(share) {
  const { dataset } = place("shares");
  const item = element("li");
  item.dataset.id = share.id;
  const about = element("div", "", "about");
  const over = share.expires_at && new Date(share.expires_at) < Date.now();
  const end = share.expires_at ? (over ? dataset.over : dataset.until).replace("{time}", timeText(share.expires_at)) : dataset.forever;
  const count = share.max_downloads ? `${share.download_count} / ${share.max_downloads}` : share.download_count;
  about.append(element("b", end), element("small", dataset.count.replace("{count}", count)));
  if (share.has_password) about.lastChild.append(` · ${dataset.locked}`);
  const change = button(dataset.change, "button quiet small", () => edit(share));
  const revoke = button(dataset.revoke, "button quiet small", async () => {
    revoke.disabled = true;
    await callSignedIn("DELETE", `/api/v1/shares/${share.id}`);
    item.remove();
    if (editing?.id === share.id) edit(null);
  });
  item.append(about, change, revoke);
  return item;
}

async function showShares() {
  const { entry, drive } = shared;
  const { shares } = await callSignedIn("GET", `/api/v1/shares?drive_id=${drive}&limit=1000`);
  const mine = shares.filter((share) => share.entry_id === entry.id && !share.revoked_at);
  place("shares").replaceChildren(...mine.map(sharedRow));
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

submitByApi(shareForm, {
  send: (method, path, { password, no_password, expires_in_days, max_downloads }) => {
    if (editing) {
      const asked = changes({ password, no_password, expires_in_days, max_downloads });
      return callSignedIn("PUT", `${path}/${editing.id}`, asked);
    }
    const numbers = { expires_in_days: numberOf(expires_in_days), max_downloads: numberOf(max_downloads) };
    return callSignedIn(method, path, { entry_id: shared.entry.id, password, ...numbers });
  },
  done: async ({ url }) => {
    edit(null);
    if (url) {
      place("share-url").value = url;
      place("share-made").hidden = false;
      place("share-url").select();
    }
    await showShares();
  },
});
place("share-no-edit").addEventListener("click", () => edit(null));
place("share-copy").addEventListener("click", async () => {
  place("share-url").select();
  await navigator.clipboard?.writeText(place("share-url").value);
});

/** Make links to a file or folder, change and end those there are. Throws ApiError where that is not for this person. */
export async function shareEntry(entry, drive) {
  shared = { entry, drive };
  edit(null);
  place("share-name").textContent = entry.name;
  await showShares();
  place("share-dialog").showModal();
}
