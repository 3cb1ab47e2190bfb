// What went wrong on a page, said at one place of it.

import { ApiError, signInFirst } from "./api.js";

/** `fail(error)` says an error at `at`, or leads to the page of signing in; `attempt(act)` does so for what `act` throws. */
export function failing(at, login) {
  function fail(error) {
    if (!(error instanceof ApiError)) throw error; // a fault of ours belongs into the console
    if (error.status === 401) {
      signInFirst(login);
      return;
    }
    at.textContent = error.message;
    at.hidden = false;
    at.scrollIntoView({ block: "nearest" });
  }

  async function attempt(act) {
    at.hidden = true;
    try {
      return await act();
    } catch (error) {
      return fail(error);
    }
  }

  return { fail, attempt };
}
