/** How many images are embedded, as long as some are not. */

import { count } from "./elements.js";

const SECONDS_WAITING = 3;
const SECONDS_IDLE = 30;

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
  const active = all.find((one) => one.is_active);
  const isWhole = !active || active.n_embedded >= active.n_images + active.n_waiting;
  shown.hidden = isWhole;
  if (isWhole) return false;
  const of = active.n_images + active.n_waiting;
  shown.style.setProperty("--part", active.n_embedded / of);
  const text = `${count(active.n_embedded, "of", "of")} ${count(of, "embedded", "embedded")}`;
  if (shown.textContent !== text) shown.textContent = text;
  return true;
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
