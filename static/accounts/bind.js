// /login: who scans with a WeChat that is new here gets an account by a phone, or links the one they have.

import { showError, submitByApi } from "./forms.js";
import { startQr } from "./qr.js";

export function offerBinding(panel, signedIn) {
  let sessionToken = "";

  const end = startQr(panel, {
    scanned({ session_token, nickname }) {
      sessionToken = session_token;
      panel.querySelector("#qr-nickname").textContent = nickname ?? "";
      panel.querySelector("#bind-phone").focus();
    },
    confirmed: signedIn,
  });

  // Binding a phone uses the sign-in up: to who polls on it would look expired.
  function finish(answer) {
    end("done");
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
    end("expired");
    return true;
  }

  const extra = () => ({ session_token: sessionToken });
  submitByApi(forms[0], { extra, done: finish, failed: tryLinking });
  submitByApi(forms[1], { extra, done: finish, failed: lostSession });
}
