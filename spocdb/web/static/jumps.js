/** Where the distances of results jump: what comes before belongs together. */

// A jump is this many times the usual step from a result to the next...
const TIMES = 6;
// ...and a good part of the distance after it: the nearest of results that are all far differ, too.
const PART = 0.15;
const LEAST = 0.02;

/**
 * Return a map from the index of the first result after the largest jump to a text about it; empty
 * if there is none. Only the largest: each line begins a row, and the row before it is cut short.
 */
export function jumps(distances) {
  const steps = distances.slice(1).map((distance, at) => distance - distances[at]);
  const usual = [...steps].sort((a, b) => a - b)[steps.length >> 1] ?? 0;
  const isJump = (step, at) => step > Math.max(LEAST, TIMES * usual, PART * distances[at + 1]);
  const largest = Math.max(...steps.filter(isJump));
  const after = steps.indexOf(largest) + 1;
  return new Map(after ? [[after, text(distances[after - 1], distances[after])]] : []);
}

const text = (before, after) =>
  `Distance jumps from ${before.toFixed(3)} to ${after.toFixed(3)}`;
