// /account: linking the WeChat of who is signed in, and taking it away.

import { call, callSignedIn } from "./api.js";
import { startQr } from "./qr.js";

/** Returns what is called with the user as they are; `changed()` is called once they are different. */
export function offerWechat(changed) {
  const panel = document.getElementById("qr");
  if (!panel) return () => {};
  const link = document.getElementById("wechat-link");
  const unlink = document.getElementById("wechat-unlink");
  const failure = document.getElementById("wechat-error");

  function tell(text) {
    failure.textContent = text;
    failure.hidden = !text;
  }

  function close(text = "") {
    panel.hidden = true;
    link.disabled = false;
    tell(text);
  }

  link.addEventListener("click", () => {
    tell("");
    link.disabled = true;
    panel.hidden = false;
    const end = startQr(panel, {
      async scanned({ session_token }) {
        end("done");
        try {
          await callSignedIn("POST", "/api/v1/wechat/bind", { session_token });
          close();
          await changed();
        } catch (error) {
          close(error.message);
        }
      },
      async confirmed({ refresh_token }) {
        // This WeChat signs another account in. Nobody asked for that, so it is signed out at once.
        await call("POST", "/api/v1/auth/logout", { refresh_token });
        close(panel.dataset.taken);
      },
    });
  });

  unlink.addEventListener("click", async () => {
    tell("");
    unlink.disabled = true;
    try {
      await callSignedIn("DELETE", "/api/v1/wechat/unbind");
      await changed();
    } catch (error) {
      tell(error.message);
    } finally {
      unlink.disabled = false;
    }
  });

  return (user) => {
    const linked = Boolean(user.wechat_openid);
    link.hidden = linked || user.is_guest;
    unlink.hidden = !linked;
  };
}
