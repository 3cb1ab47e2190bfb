// What takes the room of a drive: by type, and by the folders of a folder, into which one may look.

import { callSignedIn } from "../accounts/api.js";
import { fill } from "../accounts/parts.js";
import { failing } from "../accounts/failing.js";
import { driveOf, go, here, joined, parentOf } from "./here.js";
import { button, element, place, sizeText } from "./parts.js";
import { words } from "./saying.js";

const MOST = 30; // folders that are shown
const dialog = place("usage-dialog");
const { attempt } = failing(place("usage-refused"), words.login);
let path = "/";

function bar(name, { total_size: size, file_count: count }, most, enter) {
  const item = element("li");
  const about = element("div", "", "about");
  about.append(enter ? button(name, "link", enter) : element("b", name));
  about.append(element("small", fill(place("usage-types").dataset.line, { size: sizeText(size), count })));
  const share = element("progress");
  Object.assign(share, { max: Math.max(most, 1), value: size });
  share.setAttribute("aria-label", name);
  item.append(about, share);
  return item;
}

function showFolders(found) {
  const most = Math.max(...found.map(({ total_size }) => total_size), 1);
  const shown = found.slice(0, MOST);
  place("usage-folders").replaceChildren(...shown.map((each) => bar(each.name, each, most, () => attempt(() => load(joined(path, each.name))))));
  place("usage-none").hidden = found.length > 0;
  place("usage-way").textContent = path === "/" ? words.root : path;
  place("usage-up").hidden = path === "/";
  place("usage-open").hidden = path === "/";
}

async function load(target) {
  const { by_type, by_folder } = await callSignedIn("GET", `/api/v1/drives/${here.drive}/breakdown?${new URLSearchParams({ path: target })}`);
  path = target;
  const { dataset } = place("usage-types");
  const most = Math.max(...by_type.map(({ total_size }) => total_size), 1);
  place("usage-types").replaceChildren(...by_type.map((each) => bar(dataset[each.type] ?? each.type, each, most)));
  showFolders(by_folder);
}

place("usage-up").addEventListener("click", () => attempt(() => load(parentOf(path))));
place("usage-open").addEventListener("click", () => {
  dialog.close();
  go({ view: "files", path });
});

/** Show what takes the room of the drive that is shown. Throws ApiError. */
export async function showUsage() {
  const { name, used_size, total_size, file_count } = driveOf(here.drive);
  await load("/");
  place("usage-name").textContent = name;
  const room = total_size === null ? words.unlimited : words.used;
  const text = fill(room, { used: sizeText(used_size), total: sizeText(total_size ?? 0) });
  place("usage-sum").textContent = `${text} · ${fill(words.total, { count: file_count })}`;
  dialog.showModal();
}
