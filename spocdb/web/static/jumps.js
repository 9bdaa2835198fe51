/** Where the distances of results jump: what comes before belongs together. */

// A jump is this many times the usual step from a result to the next...
const TIMES = 6;
// ...and a good part of the distance after it: the nearest of results that are all far differ, too.
const PART = 0.15;
const LEAST = 0.02;
const MOST = 2;

/** Return a map from the index of the first result after a jump to a text about it. */
export function jumps(distances) {
  const steps = distances.slice(1).map((distance, at) => distance - distances[at]);
  const usual = [...steps].sort((a, b) => a - b)[steps.length >> 1] ?? 0;
  return new Map(
    steps
      .map((step, at) => ({ step, index: at + 1 }))
      .filter(({ step, index }) => step > Math.max(LEAST, TIMES * usual, PART * distances[index]))
      .sort((a, b) => b.step - a.step)
      .slice(0, MOST)
      .map(({ index }) => [index, text(distances[index - 1], distances[index])]),
  );
}

const text = (before, after) =>
  `Distance jumps from ${before.toFixed(3)} to ${after.toFixed(3)}`;
