/** Changes that take longer than an answer: followed until they have ended. */

import { Problem } from "./server.js";

const SECONDS_BETWEEN_LOOKS = 1;
// A change goes on while the server, or the way to it, does not answer for a moment.
const MOST_FAILURES = 10;

/** Why there is no end to tell of. */
export const LOST = "The server was started again meanwhile. The page shows what is stored";

/**
 * Ask with `look` until a change has ended, and tell how it goes.
 * Return null if the server was started again, and knows of none.
 */
export async function followed(change, look, told) {
  let failures = 0;
  while (change?.state === "running") {
    told(change);
    await new Promise((resolve) => setTimeout(resolve, SECONDS_BETWEEN_LOOKS * 1000));
    try {
      change = await look();
      failures = 0;
    } catch (error) {
      if (!(error instanceof Problem) || ++failures > MOST_FAILURES) throw error;
    }
  }
  return change;
}
