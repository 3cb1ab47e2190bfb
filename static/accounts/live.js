// Events of the socket at /ws: it comes back by itself and misses nothing, as docs/rendering.md says.

import { callSignedIn } from "./api.js";

const PAUSES = [500, 1000, 2000, 5000, 10_000]; // milliseconds before it is tried again
const PING = 25_000;
const PATIENCE = 10_000; // milliseconds without a word after a ping until the connection counts as broken

/**
 * `hear(event, data)` gets the events. `turned(isLive, isWhole)` hears when the connection comes and goes; unless
 * `isWhole`, something may have been missed and the state is to be read from the API. The window hears each event, too,
 * under its own name: what stands on every page holds no connection of its own.
 */
export function listen({ hear, turned }) {
  let revision = "";
  let failures = 0;
  let ping = 0;
  let doubt = 0;

  function broken() {
    clearInterval(ping);
    clearTimeout(doubt);
    turned(false, true);
    setTimeout(connect, PAUSES[Math.min(failures++, PAUSES.length - 1)]);
  }

  async function connect() {
    let ticket;
    try {
      ({ ticket } = await callSignedIn("POST", "/api/v1/auth/ws-ticket"));
    } catch (error) {
      if (error.status === 401) turned(false, false); // whoever reads the API then learns that it is over
      else broken();
      return;
    }
    const address = new URL(`/ws?${new URLSearchParams({ ticket, since: revision })}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.onmessage = ({ data: text }) => {
      clearTimeout(doubt);
      const message = JSON.parse(text);
      if (message.event === "connection:established") {
        failures = 0;
        turned(true, Boolean(revision));
      } else if (message.event === "resync") {
        turned(true, false);
      }
      revision = message.revision ?? revision;
      const data = message.data ?? {};
      hear(message.event, data);
      dispatchEvent(new CustomEvent(message.event, { detail: data }));
    };
    socket.onclose = broken;
    ping = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.send(JSON.stringify({ event: "ping", data: { timestamp: Date.now() } }));
      clearTimeout(doubt);
      doubt = setTimeout(() => socket.close(), PATIENCE);
    }, PING);
  }

  connect();
}
