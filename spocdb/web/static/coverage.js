/** How many rows of an attached table are embedded, as long as some are not. */

import { count } from "./elements.js";

const SECONDS_WAITING = 3;
// Counting reads every row.
const SECONDS_IDLE = 60;

/** Keep `shown` up to date while the page is in sight. */
export async function watchCoverage(collection, shown) {
  for (;;) {
    const isWaiting = document.hidden ? false : await update(collection, shown);
    await pause(isWaiting ? SECONDS_WAITING : SECONDS_IDLE);
  }
}

async function update(collection, shown) {
  let all;
  try {
    all = await collection.coverage();
  } catch {
    // The grid says so when it needs the server.
    return false;
  }
  const active = all.find((one) => one.active);
  const waiting = active ? active.pending + active.leased : 0;
  shown.hidden = !waiting;
  if (!waiting) return false;
  const rows = active.rows ?? active.embedded + waiting;
  shown.style.setProperty("--part", active.embedded / rows);
  const text = `${count(active.embedded, "of", "of")} ${count(rows, "embedded", "embedded")}`;
  if (shown.textContent !== text) shown.textContent = text;
  return true;
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
