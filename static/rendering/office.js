"use strict";
// The page of a job: log tails come by the socket as they are; on other changes the live part is fetched anew.
document.addEventListener("DOMContentLoaded", () => {
  const page = document.getElementById("job");
  if (!page) return;
  let isStale = false;
  let isFetching = false;

  async function refresh() {
    isStale = true;
    if (isFetching) return;
    isFetching = true;
    while (isStale) {
      isStale = false;
      const answer = await fetch(page.dataset.live + window.location.search, { credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const open = new Set([...page.querySelectorAll("details.attempt")].filter((each) => each.open).map((each) => each.dataset.attempt));
        const grid = page.querySelector(".frame-grid");
        const top = grid ? grid.scrollTop : 0;
        document.getElementById("job-live").outerHTML = await answer.text();
        for (const each of page.querySelectorAll("details.attempt")) each.open = each.open || open.has(each.dataset.attempt);
        const anew = page.querySelector(".frame-grid");
        if (anew) anew.scrollTop = top;
        for (const log of page.querySelectorAll("details[open] .attempt-log")) log.scrollTop = log.scrollHeight;
      }
      await new Promise((done) => setTimeout(done, 2000));
    }
    isFetching = false;
  }

  function showLog({ attempt, progress, log }) {
    const details = page.querySelector(`details[data-attempt="${attempt}"]`);
    if (!details) return;
    details.querySelector(".percent").textContent = `${Math.round(progress)} %`;
    const tail = details.querySelector(".attempt-log");
    const isAtEnd = tail.scrollTop + tail.clientHeight >= tail.scrollHeight - 20;
    tail.textContent = log;
    if (isAtEnd) tail.scrollTop = tail.scrollHeight;
  }

  function listen() {
    const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${window.location.host}${page.dataset.socket}`);
    socket.addEventListener("message", (message) => {
      const { event, data } = JSON.parse(message.data);
      if (event === "job") refresh();
      if (event === "log") showLog(data);
    });
    // Refused, or the session has ended: the page stays as it is.
    socket.addEventListener("close", (close) => { if (close.code !== 4403) setTimeout(listen, 5000); });
  }
  if (page.dataset.socket) listen();
});
