// The REST API as this browser's user: tokens in localStorage, refreshed before they run out and once after a 401.

import { holding } from "./locks.js";

const KEYS = ["access_token", "refresh_token", "token_expires_at", "user", "unread"];
const ENDED = "session_ended"; // in the session storage: nobody meant to sign out
const EARLY = 60_000; // milliseconds before its end at which a token counts as stale

export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail);
    this.status = status;
    this.code = body.code;
    this.fields = body.errors ?? [];
    this.hint = body.hint;
    this.body = body;
    this.retryAfter = retryAfter; // seconds, 0 where the answer named none
  }
}

export function keepTokens({ access_token, refresh_token, expires_in, user }) {
  localStorage.setItem("access_token", access_token);
  localStorage.setItem("refresh_token", refresh_token);
  localStorage.setItem("token_expires_at", String(Date.now() + expires_in * 1000));
  if (user) localStorage.setItem("user", JSON.stringify(user));
}

export function forgetTokens() {
  KEYS.forEach((key) => localStorage.removeItem(key));
}

export function isSignedIn() {
  return Boolean(localStorage.getItem("refresh_token"));
}

/** Leave for the sign-in page, and come back here afterwards. */
export function signInFirst(login) {
  sessionStorage.setItem("after_sign_in", location.pathname + location.hash);
  location.replace(login);
}

/** Whether this tab's session ended of itself since this was asked last. */
export function hasSessionEnded() {
  const ended = Boolean(sessionStorage.getItem(ENDED));
  sessionStorage.removeItem(ENDED);
  return ended;
}

/** Where this tab wanted to go before it was asked to sign in, once. */
export function placeAfterSignIn() {
  const place = sessionStorage.getItem("after_sign_in");
  sessionStorage.removeItem("after_sign_in");
  return place;
}

/** The answer's JSON to `body`, which is sent as JSON, or as a form where it is FormData. Throws ApiError; status 0 where nobody answers. */
export async function call(method, path, body, { token, more } = {}) {
  const headers = { Accept: "application/json", ...more };
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  let data;
  try {
    answer = await fetch(path, { method, headers, body: isForm ? body : body && JSON.stringify(body) });
    data = await answer.json();
  } catch {
    throw new ApiError(answer?.status ?? 0, { detail: document.body.dataset.offline, code: "offline" }, 0);
  }
  if (!answer.ok) throw new ApiError(answer.status, data, Number(answer.headers.get("Retry-After")) || 0);
  return data;
}

/** The same as the signed-in user, with `more` headers. Throws ApiError with status 401 where nobody is signed in any more. */
export async function callSignedIn(method, path, body, more) {
  const stale = Date.now() > Number(localStorage.getItem("token_expires_at")) - EARLY;
  if (stale) await refresh();
  const token = localStorage.getItem("access_token");
  try {
    return await call(method, path, body, { token, more });
  } catch (error) {
    if (error.status !== 401 || stale) throw error;
    await refresh(token);
    return call(method, path, body, { token: localStorage.getItem("access_token"), more });
  }
}

/** Do `act`, which ends the tokens that are kept and keeps others: until then nobody exchanges the old ones. */
export const whileTokensChange = (act) => holding("yuntu-refresh", act);

/** One tab at a time; the others then find the new pair in place of `refused`. */
async function refresh(refused) {
  await whileTokensChange(async () => {
    const fresh = Date.now() < Number(localStorage.getItem("token_expires_at")) - EARLY;
    if (fresh && localStorage.getItem("access_token") !== refused) return;
    const refresh_token = localStorage.getItem("refresh_token") ?? "";
    try {
      keepTokens(await call("POST", "/api/v1/auth/refresh", { refresh_token }));
    } catch (error) {
      if (error.status === 401 || error.status === 422) {
        forgetTokens();
        sessionStorage.setItem(ENDED, "1");
      }
      throw error.status === 422 ? new ApiError(401, { detail: error.message, code: "token_invalid" }, 0) : error;
    }
  });
}
