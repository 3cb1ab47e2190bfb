// One task: where it stands, what may be done with it, its frames, results, log and cost.

import { callSignedIn } from "../accounts/api.js";
import { askSure } from "../accounts/dialogs.js";
import { element, place, timeText } from "../accounts/parts.js";
import * as frames from "./frames.js";
import * as log from "./log.js";
import * as results from "./results.js";
import { driveLink, durationText, engineText, filled, moneyText, priceText, rangeText, showFacts, showStatus, showText, words } from "./texts.js";

const SETTLE = 250; // milliseconds in which several events make one look
const OPEN = ["pending", "queued", "rendering", "paused"];
let door = null;
let task = null;
let due = 0;

const url = (part = "") => `/api/v1/tasks/${task.id}${part}`;

// --- What shows ---

function showOutlook() {
  const { dataset } = place("outlook");
  const { done_frames: done, failed_frames: failed, total_frames: total } = task;
  const began = task.started_at && task.completed_at && (new Date(task.completed_at) - new Date(task.started_at)) / 1000;
  const isOpen = OPEN.includes(task.status_name);
  const parts = [
    total ? filled(words.frames, { done, total }) : "",
    failed ? filled(dataset.failed, { count: failed }) : "",
    isOpen && task.queue_position ? filled(dataset.queue, { count: task.queue_position }) : "",
    isOpen && task.estimated_seconds ? filled(dataset.left, { time: durationText(task.estimated_seconds) }) : "",
    !isOpen && began ? filled(dataset.took, { time: durationText(began) }) : "",
  ];
  place("outlook").textContent = parts.filter(Boolean).join(" · ");
  place("one-progress").value = task.progress;
  place("one-percent").textContent = `${task.progress} %`;
  place("one-progress").className = task.status_name;
}

function showWhy() {
  const { dataset } = place("why");
  const why = place("why");
  const reason = task.status_name === "paused" ? dataset[task.pause_reason] : task.status_name === "pending" ? dataset.pending : task.waiting?.message;
  why.textContent = reason ?? "";
  why.hidden = !reason;
  if (task.pause_reason !== "balance") return;
  const link = element("a", dataset.recharge);
  link.href = words.billing;
  why.append(" ", link);
}

function sceneLink() {
  const link = element("a", task.scene_file);
  link.href = driveLink(task.drive_id, task.scene_file.slice(0, task.scene_file.lastIndexOf("/")));
  return link;
}

function show() {
  place("one-title").textContent = task.task_name || task.scene_file;
  showStatus(place("one-status"), task.status_name);
  showOutlook();
  showWhy();
  // Why frames failed stands in a card of its own.
  showText("one-failure", task.failed_frames ? "" : task.error_message);
  const steps = [...task.cameras, ...task.layers].join(", ");
  showFacts(place("one-facts"), [
    ["scene", sceneLink()],
    ["engine", engineText(task)],
    ["frames", task.frames],
    ["size", task.width && task.height && `${task.width} × ${task.height}`],
    ["steps", steps],
    ["created", timeText(task.created_at)],
    ["started", task.started_at && timeText(task.started_at)],
    ["ended", task.completed_at && timeText(task.completed_at)],
    ["priority", task.actions.includes("set_priority") ? null : words[`priority${task.priority}`]],
  ]);
  const { actions } = task;
  for (const tool of place("actions").children) {
    // Test frames are approved, not resumed.
    const { act } = tool.dataset;
    tool.hidden = !actions.includes(act) || (act === "resume" && actions.includes("approve"));
  }
  place("set-priority").value = task.priority;
  place("one-priority").hidden = !actions.includes("set_priority");
  place("add-frames").hidden = !actions.includes("add_frames");
  showCosts();
}

function showCosts() {
  const { dataset } = place("costs");
  const price = task.unit_price === null ? null : filled(dataset[task.price_unit], { price: priceText(task.unit_price) });
  showFacts(place("costs"), [
    ["price", price],
    ["estimated", task.estimated_cost === null ? null : moneyText(task.estimated_cost)],
    ["charged", moneyText(task.actual_cost ?? 0)],
  ]);
}

async function showBills() {
  const mine = task.id;
  const { bills } = await callSignedIn("GET", `/api/v1/billing/bills?task_id=${mine}&limit=20`);
  if (mine !== task?.id) return;
  place("bills-title").hidden = !bills.length;
  place("bills").replaceChildren(...bills.map((bill) => {
    const item = element("li");
    const about = element("div");
    about.append(element("b", bill.description), element("small", timeText(bill.created_at)));
    item.append(about, element("span", moneyText(bill.amount), "cost"));
    return item;
  }));
}

/** Why frames failed, each reason once, with the frames it took. */
async function showReasons() {
  const mine = task.id;
  const card = place("reasons-card");
  if (!task.failed_frames && !task.failure_code) {
    card.hidden = true;
    return;
  }
  const { attempts } = await callSignedIn("GET", `${url("/attempts")}?status=failed&limit=50`);
  if (mine !== task?.id) return;
  const reasons = new Map();
  for (const attempt of attempts) {
    const reason = reasons.get(attempt.message) ?? { ...attempt, frames: [] };
    reason.frames.push(...attempt.frames);
    reasons.set(attempt.message, reason);
  }
  const { dataset } = place("reasons");
  place("reasons").replaceChildren(...[...reasons.values()].map((reason) => {
    const item = element("li");
    item.append(element("p", reason.message || reason.failure_code));
    const about = element("small", `${filled(dataset.frames, { frames: rangeText(reason.frames) })} · `);
    about.append(element("code", reason.failure_code));
    if (reason.log_url) {
      const link = element("a", dataset.log);
      Object.assign(link, { href: reason.log_url, target: "_blank", rel: "noopener" });
      about.append(" · ", link);
    }
    item.append(about);
    return item;
  }));
  card.hidden = !reasons.size;
}

// --- What is done ---

const command = (method, part, body) => async () => {
  await callSignedIn(method, url(part), body);
  await refresh();
};

const acts = {
  approve: command("POST", "/approve"),
  resume: command("PUT", "/resume"),
  retry: command("POST", "/retry", {}),
  pause: command("PUT", "/pause"),
  async cancel() {
    if (await askSure("cancel")) await command("PUT", "/cancel")();
  },
  async clone() {
    const { id } = await callSignedIn("POST", url("/clone"), {});
    door.go(`#/${id}`);
  },
  async delete() {
    if (!(await askSure("delete"))) return;
    await callSignedIn("DELETE", url());
    door.go("#");
  },
};

// --- The view ---

export async function enter(given) {
  task = given;
  show();
  place("further-frames").value = "";
  showText("further-frames-error", "");
  await Promise.all([frames.enter(task), log.enter(task), results.show(task), showReasons(), showBills()]);
}

export async function refresh() {
  const mine = task?.id;
  if (!mine) return;
  const found = await callSignedIn("GET", url());
  if (mine !== task?.id) return;
  task = found;
  if (task.status_name === "draft") {
    door.arrive();
    return;
  }
  show();
  await Promise.all([frames.refresh(task), log.refresh(task), results.show(task), showReasons(), showBills()]);
}

export function leave() {
  clearTimeout(due);
  due = 0;
  task = null;
  frames.leave();
  log.leave();
}

function lookSoon() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    refresh().catch(() => {}); // the next look tells
  }, SETTLE);
}

export function hear(event, data) {
  if (!task || data.task_id !== task.id) return;
  if (event === "task:log") {
    log.hear(data);
    return;
  }
  if (event === "task:progress") {
    const { progress, done_frames, failed_frames, total_frames, queue_position, estimated_seconds, running } = data;
    const waiting = running.length ? null : task.waiting;
    task = { ...task, progress, done_frames, failed_frames, total_frames, queue_position, estimated_seconds, running, waiting };
    showOutlook();
    showWhy();
    frames.hear(task);
    results.hear(task);
    return;
  }
  if (event === "task:status") {
    door.tell(task.task_name, data.status);
    showStatus(place("one-status"), data.status);
  }
  lookSoon();
}

export function begin(given) {
  door = given;
  frames.begin({ ...door, changed: lookSoon });
  log.begin(door);
  for (const tool of place("actions").children) {
    tool.addEventListener("click", async () => {
      tool.disabled = true;
      await door.attempt(acts[tool.dataset.act]);
      tool.disabled = false;
    });
  }
  place("set-priority").addEventListener("change", ({ target }) => door.attempt(async () => {
    try {
      await command("PUT", "/priority", { priority: Number(target.value) })();
    } finally {
      target.value = task.priority;
    }
  }));
  place("add-frames").addEventListener("submit", (event) => {
    event.preventDefault();
    showText("further-frames-error", "");
    const asked = { frames: place("further-frames").value.trim() };
    door.attempt(() => command("POST", "/frames", asked)()
      .then(() => (place("further-frames").value = ""))
      .catch((error) => {
        if (error.status === 401) throw error;
        showText("further-frames-error", error.fields?.[0]?.msg ?? error.message);
      }));
  });
}
