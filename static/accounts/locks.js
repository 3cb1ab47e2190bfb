// Locks between the windows of a browser. It has them on https and localhost only: on plain http, in a studio's own
// network, each window knows of itself alone.

const mine = new Map(); // by name, when the last who asked for it is done

/** Do `act` while nobody else holds the lock of this name, in this window or another. */
export const holding = (name, act) => (navigator.locks ?? { request: alone }).request(name, act);

async function alone(name, act) {
  const done = Promise.resolve(mine.get(name)).then(act);
  const over = done.catch(() => {}); // whoever comes next does not mind
  mine.set(name, over);
  try {
    return await done;
  } finally {
    if (mine.get(name) === over) mine.delete(name);
  }
}

/** The names of all locks that are held. */
export async function heldLocks() {
  if (!navigator.locks) return new Set(mine.keys());
  return new Set((await navigator.locks.query()).held.map(({ name }) => name));
}
