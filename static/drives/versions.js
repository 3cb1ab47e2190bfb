// What a file held before: fetched, or brought back.

import { callSignedIn } from "../accounts/api.js";
import { ask } from "../accounts/dialogs.js";
import { may } from "./here.js";
import { button, element, place, sizeText, timeText } from "./parts.js";

/** Show the earlier versions of a file; true where one was brought back, else null. Throws ApiError. */
export async function bringBack(file) {
  const { dataset } = place("versions");
  const refused = place("versions-refused");
  const door = `/api/v1/files/${file.id}/versions`;
  const { versions } = await callSignedIn("GET", door);
  refused.hidden = true;
  place("versions-name").textContent = file.name;
  place("no-versions").hidden = versions.length > 0;
  return ask(place("versions-dialog"), (settle) => {
    async function restore(version) {
      try {
        await callSignedIn("POST", `${door}/${version.id}/restore`);
        settle(true);
      } catch (error) {
        refused.textContent = error.message;
        refused.hidden = false;
      }
    }

    place("versions").replaceChildren(...versions.map((version) => {
      const item = element("li");
      const about = element("div", "", "about");
      const replaced = dataset.replaced.replace("{time}", timeText(version.created_at));
      about.append(element("b", timeText(version.modified_at)), element("small", `${sizeText(version.size)} · ${replaced}`));
      const fetch = button(dataset.download, "button quiet small", () => location.assign(version.download_url));
      item.append(about, fetch);
      if (may("write", file.drive_id)) item.append(button(dataset.restore, "button quiet small", () => restore(version)));
      return item;
    }));
  });
}
