// Signing in by WeChat's QR code: drawn by the server, polled until it is confirmed, expired or wants a phone.

import { call } from "./api.js";
import { showError, submitByApi } from "./forms.js";

const POLL_EVERY = 2000; // milliseconds

export function startQr(panel, signedIn) {
  const image = panel.querySelector("#qr-image");
  const opener = panel.querySelector("#qr-open");
  const hint = panel.querySelector("#qr-hint");
  const left = panel.querySelector("#qr-left");
  let round = 0; // answers to an earlier code come too late
  let sessionToken = "";

  function show(state) {
    panel.dataset.state = state;
    for (const part of panel.querySelectorAll("[data-on]")) {
      part.hidden = !part.dataset.on.split(" ").includes(state);
    }
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

  async function watch(mine, id, end) {
    const clock = setInterval(() => {
      const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }, 250);
    while (mine === round) {
      let wait = POLL_EVERY;
      try {
        const progress = await call("GET", `/api/v1/wechat/poll/${encodeURIComponent(id)}`);
        if (mine !== round) break;
        if (react(progress)) break;
      } catch (error) {
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
        sessionToken = progress.session_token;
        panel.querySelector("#qr-nickname").textContent = progress.nickname ?? "";
        show("scanned");
        panel.querySelector("#bind-phone").focus();
      }
      return false; // it may still expire
    }
    // Binding a phone uses the sign-in up: to who polls it then looks expired.
    if (progress.status === "expired" && panel.dataset.state !== "done") show("expired");
    if (progress.status === "confirmed") finish(progress);
    return progress.status !== "pending";
  }

  function finish(answer) {
    round += 1;
    show("done");
    signedIn(answer);
  }

  const tabs = [...panel.querySelectorAll("[role=tab]")];
  const forms = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));

  function choose(index, focus = true) {
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === index));
      tab.tabIndex = place === index ? 0 : -1;
      forms[place].hidden = place !== index;
    });
    if (focus) tabs[index].focus();
  }

  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(index));
    tab.addEventListener("keydown", (event) => {
      if (["ArrowLeft", "ArrowRight"].includes(event.key)) choose(1 - index);
    });
  });

  /** A phone that has an account: on with that one's password. */
  function tryLinking(error) {
    if (error.hint !== "link-account") return lostSession(error);
    const [bind, link] = forms;
    link.elements.phone.value = bind.elements.phone.value;
    choose(1, false);
    showError(link, error);
    link.elements.password.focus();
    return true;
  }

  function lostSession(error) {
    if (error.code !== "wechat_session_invalid") return false;
    round += 1;
    show("expired");
    return true;
  }

  const extra = () => ({ session_token: sessionToken });
  submitByApi(forms[0], { extra, done: finish, failed: tryLinking });
  submitByApi(forms[1], { extra, done: finish, failed: lostSession });
  panel.querySelector("#qr-renew").addEventListener("click", renew);
  renew();
}
