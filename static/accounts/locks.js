// Locks between the windows of a browser. It has them on https and localhost only: on plain http, in a studio's own
// network, each window knows of itself alone.

const mine = new Set();

/** Do `act` while no other window holds the lock of this name. */
export const holding = (name, act) => (navigator.locks ?? { request: alone }).request(name, act);

async function alone(name, act) {
  mine.add(name);
  try {
    return await act();
  } finally {
    mine.delete(name);
  }
}

/** The names of all locks that are held. */
export async function heldLocks() {
  if (!navigator.locks) return new Set(mine);
  return new Set((await navigator.locks.query()).held.map(({ name }) => name));
}
