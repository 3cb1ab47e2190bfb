// /account: who is signed in, and where.

import { callSignedIn, forgetTokens, isSignedIn } from "./api.js";
import { submitByApi } from "./forms.js";
import { offerWechat } from "./wechat.js";

const page = document.getElementById("account");
const language = document.documentElement.lang;
const SHOWN = 8; // rows of a list
const showWechat = offerWechat(reload);
const money = new Intl.NumberFormat(language, { style: "currency", currency: "CNY" });

function leave() {
  forgetTokens();
  location.replace(page.dataset.login);
}

/** Whoever is signed out elsewhere lands on the sign-in page; other failures are told. */
function fail(error) {
  if (error.status === 401) {
    leave();
    return;
  }
  const place = document.getElementById("failure");
  place.textContent = error.message;
  place.hidden = false;
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function when(time) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}

function row(title, ...details) {
  const item = document.createElement("li");
  const words = document.createElement("div");
  words.append(element("b", title), element("small", details.filter(Boolean).join(" · ")));
  item.append(words);
  return item;
}

/** What a User-Agent says to people: browser and system. */
function deviceName(agent, unknown) {
  const browser = agent.match(/(Edg|OPR|Firefox|Chrome|Safari|YuntuClient|MicroMessenger)\/[\d.]+/);
  const system = agent.match(/Windows|Android|iPhone|iPad|Mac OS X|Linux/);
  if (!browser) return agent.slice(0, 60) || unknown;
  const names = { Edg: "Edge", OPR: "Opera", MicroMessenger: "WeChat" };
  return [names[browser[1]] ?? browser[1], system?.[0]].filter(Boolean).join(" · ");
}

const rows = {
  sessions(session, list) {
    const item = row(deviceName(session.device, list.dataset.unknown), session.ip, when(session.last_seen_at));
    item.title = session.device;
    if (session.current) {
      item.append(element("span", list.dataset.this, "tag"));
      return item;
    }
    const end = element("button", list.dataset.end, "button quiet small");
    end.type = "button";
    end.addEventListener("click", async () => {
      end.disabled = true;
      try {
        await callSignedIn("DELETE", `/api/v1/auth/sessions/${session.id}`);
        item.remove();
      } catch (error) {
        end.disabled = false;
        fail(error);
      }
    });
    item.append(end);
    return item;
  },
  events: (event, list) =>
    row(event.label, when(event.created_at), event.ip, event.by_operator && list.dataset.operator),
  notifications(notification, list) {
    const item = row(notification.title, notification.message, when(notification.created_at));
    item.classList.toggle("unread", !notification.read_at);
    if (notification.action_url) {
      const link = element("a", list.dataset.open, "button quiet small");
      link.href = notification.action_url;
      item.append(link);
    }
    return item;
  },
};

function showUser(user) {
  document.getElementById("who").textContent = user.username;
  const phone = document.getElementById("phone");
  phone.textContent = user.phone || phone.dataset.none;
  document.getElementById("balance").textContent = money.format(user.balance);
  const wechat = document.getElementById("wechat");
  wechat.textContent = user.wechat_openid ? user.wechat_nickname || "✓" : wechat.dataset.none;
  document.getElementById("phone-form").hidden = Boolean(user.phone);
  showWechat(user);
  const face = document.getElementById("face");
  face.textContent = user.username[0].toUpperCase();
  if (user.avatar) {
    const picture = document.createElement("img");
    picture.src = user.avatar;
    picture.alt = "";
    face.replaceChildren(picture);
  }
  page.hidden = false;
  page.removeAttribute("aria-busy");
}

/** One list; a door that is not there leaves its card out. */
async function showList(card) {
  const { list, key } = card.dataset;
  let answer;
  try {
    answer = await callSignedIn("GET", `${list}?limit=${SHOWN}`);
  } catch (error) {
    if (error.status !== 404) fail(error);
    return;
  }
  const place = card.querySelector("ul");
  place.replaceChildren(...answer[key].map((item) => rows[key](item, place)));
  const empty = card.querySelector(".empty");
  if (empty) empty.hidden = answer[key].length > 0;
  card.hidden = false;
  if (key === "notifications") await markRead(answer.notifications);
}

/** What was shown is read: at the next visit its mark is gone. */
async function markRead(shown) {
  const ids = shown.filter((notification) => !notification.read_at).map((notification) => notification.id);
  if (ids.length) await callSignedIn("POST", "/api/v1/notifications/read", { ids });
}

async function reload() {
  try {
    showUser(await callSignedIn("GET", "/api/v1/users/me"));
    await Promise.all([...document.querySelectorAll("[data-list]")].map(showList));
  } catch (error) {
    fail(error);
  }
}

document.getElementById("sign-out").addEventListener("click", async () => {
  const refresh_token = localStorage.getItem("refresh_token");
  try {
    await callSignedIn("POST", "/api/v1/auth/logout", { refresh_token });
  } catch {
    // Gone or unreachable: here it is forgotten all the same.
  }
  leave();
});
submitByApi(document.getElementById("phone-form"), { send: callSignedIn, done: showUser });
if (isSignedIn()) reload();
else leave();
