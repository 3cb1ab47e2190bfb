// A QR code of WeChat: drawn by the server, polled until it is scanned by somebody new, confirmed or expired.

import { call } from "./api.js";

const POLL_EVERY = 2000; // milliseconds

/**
 * Draw a code in `panel` and watch it. `scanned(progress)` is called once for somebody who is no user, `confirmed(progress)`
 * with the tokens of one who is. Returns `end(state)`: no more is asked, and `state` is shown.
 */
export function startQr(panel, { scanned, confirmed }) {
  const image = panel.querySelector("#qr-image");
  const opener = panel.querySelector("#qr-open");
  const hint = panel.querySelector("#qr-hint");
  const left = panel.querySelector("#qr-left");
  let round = 0; // answers to an earlier code come too late

  function show(state) {
    panel.dataset.state = state;
    for (const part of panel.querySelectorAll("[data-on]")) {
      part.hidden = !part.dataset.on.split(" ").includes(state);
    }
  }

  function end(state) {
    round += 1;
    show(state);
  }

  function fail(error) {
    panel.querySelector("#qr-failure").textContent = error.message;
    show("failed");
  }

  async function renew() {
    const mine = ++round;
    show("loading");
    try {
      const code = await call("POST", "/api/v1/wechat/qrcode", { device_type: "pc" });
      if (mine !== round) return;
      if (image) {
        image.src = `data:image/svg+xml,${encodeURIComponent(code.qr_svg)}`;
        image.hidden = false;
      }
      for (const link of [opener, hint]) {
        if (link) link.href = code.qr_code_url;
      }
      if (opener) opener.hidden = false;
      show("pending");
      watch(mine, code.session_id, Date.now() + code.expires_in * 1000);
    } catch (error) {
      if (mine === round) fail(error);
    }
  }

  async function watch(mine, id, over) {
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((over - Date.now()) / 1000));
      left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    };
    const clock = setInterval(tick, 250);
    tick();
    while (mine === round) {
      let wait = POLL_EVERY;
      try {
        const progress = await call("GET", `/api/v1/wechat/poll/${encodeURIComponent(id)}`);
        if (mine !== round) break;
        if (react(progress)) break;
      } catch (error) {
        if (mine !== round) break;
        if (error.status === 404) show("expired");
        else if (error.status === 429) wait = Math.max(wait, error.retryAfter * 1000);
        else if (error.status >= 400 && error.status < 500) fail(error);
        if (["expired", "failed"].includes(panel.dataset.state)) break;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    clearInterval(clock);
  }

  /** Whether that was the end of it. */
  function react(progress) {
    if (progress.status === "scanned") {
      if (panel.dataset.state !== "scanned") {
        show("scanned");
        scanned(progress);
      }
      return false; // it may still expire
    }
    if (progress.status === "expired") show("expired");
    if (progress.status === "confirmed") {
      end("done");
      confirmed(progress);
    }
    return progress.status !== "pending";
  }

  panel.querySelector("#qr-renew").onclick = renew; // of the last one that was started here
  renew();
  return end;
}
