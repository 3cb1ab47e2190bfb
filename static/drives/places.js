// A file of a drive, chosen in a dialog (templates/drives/place_dialog.html).

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { button, element, icon, kindOf, place } from "./parts.js";

const MOST = 200; // rows asked for at once
const dialog = place("place-dialog");

function begin(title) {
  place("place-title").textContent = place("place-title").dataset[title];
  for (const id of ["place-more", "no-files", "place-refused"]) place(id).hidden = true;
}

function showTrail(path, root, enter) {
  const names = path.split("/").filter(Boolean);
  const step = (name, at) => button(name, "link", () => enter(`/${names.slice(0, at).join("/")}`));
  place("place-trail").replaceChildren(...[root, ...names].map(step));
}

function row(entry, act, hint = "") {
  const item = element("li");
  const sign = element("span", "", `thumb kind-${kindOf(entry)}`);
  sign.append(icon(kindOf(entry)));
  const about = element("div", "", "about");
  about.append(button(entry.name, "link", act));
  if (hint) about.append(element("small", hint));
  item.append(sign, about);
  return item;
}

/** Let a file with one of `endings` (any where there are none) be chosen out of `drives`; the entry, or null. */
export function chooseFile(title, drives, endings, root) {
  let asked = { drive: drives[0].id, path: "/", keyword: "" };
  let seen = 0;
  const fits = ({ is_folder, name }) =>
    is_folder ? !asked.keyword : !endings.length || endings.some((ending) => name.toLowerCase().endsWith(ending));

  begin(title);
  const options = drives.map(({ id, name }) => new Option(name, id));
  place("place-drive").replaceChildren(...options);
  place("place-drive").closest("label").hidden = drives.length < 2;
  place("place-keyword").value = "";

  return ask(dialog, (settle) => {
    async function load(change, { more = false } = {}) {
      const mine = { ...asked, ...change };
      asked = mine;
      if (!more) {
        seen = 0;
        place("places").replaceChildren();
        place("no-files").hidden = true;
        showTrail(mine.path, root, (path) => go({ path, keyword: "" }));
        place("place-trail").hidden = Boolean(mine.keyword);
      }
      const where = mine.keyword ? { keyword: mine.keyword } : { folder_path: mine.path, sort: "name" };
      const query = new URLSearchParams({ drive_id: mine.drive, ...where, skip: seen, limit: MOST });
      const { files, total } = await callSignedIn("GET", `/api/v1/files?${query}`);
      if (asked !== mine) return;
      seen += files.length;
      place("places").append(...files.filter(fits).map((entry) => entry.is_folder
        ? row(entry, () => go({ path: `${mine.path === "/" ? "" : mine.path}/${entry.name}` }))
        : row(entry, () => settle(entry), mine.keyword ? entry.folder_path : "")));
      place("place-more").hidden = seen >= total || !files.length;
      place("no-files").hidden = place("places").children.length > 0;
    }

    function go(change, options) {
      place("place-refused").hidden = true;
      load(change, options).catch((error) => {
        place("place-refused").textContent = error.message;
        place("place-refused").hidden = false;
      });
    }

    place("place-drive").onchange = ({ target }) => go({ drive: target.value, path: "/", keyword: "" });
    place("place-more").onclick = () => go({}, { more: true });
    place("place-search").onsubmit = (event) => {
      event.preventDefault();
      go({ keyword: place("place-keyword").value.trim() });
    };
    go({});
  });
}
