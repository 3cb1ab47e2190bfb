// The drives as a network drive: where it is, and a password for each device.

import { callSignedIn } from "../accounts/api.js";
import { everything } from "../accounts/lists.js";
import { clearErrors, submitByApi } from "../accounts/forms.js";
import { button, element, place, timeText } from "./parts.js";

const form = place("network-form");
const door = form.getAttribute("action");

function deviceRow({ id, name, last_used_at }) {
  const { dataset } = place("devices");
  const item = element("li");
  const about = element("div", "", "about");
  about.append(element("b", name));
  about.append(element("small", last_used_at ? dataset.used.replace("{time}", timeText(last_used_at)) : dataset.unused));
  const revoke = button(dataset.revoke, "button quiet small", async () => {
    revoke.disabled = true;
    await callSignedIn("DELETE", `${door}/${id}`);
    item.remove();
  });
  item.append(about, revoke);
  return item;
}

async function showDevices() {
  place("devices").replaceChildren(...(await everything(door, "app_passwords")).map(deviceRow));
}

submitByApi(form, {
  send: callSignedIn,
  done: async ({ username, password }) => {
    form.reset();
    place("network-user").value = username;
    place("network-password").value = password;
    place("network-made").hidden = false;
    place("network-password").select();
    await showDevices();
  },
});

/** Show how to connect, and the devices that may. Throws ApiError. */
export async function showNetwork() {
  clearErrors(form);
  form.reset();
  place("network-made").hidden = true;
  place("network-url").value = new URL("/dav/", location.href).href;
  await showDevices();
  place("network-dialog").showModal();
}
