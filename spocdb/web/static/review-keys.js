/** The keys of the page of duplicates. */

const KEYS = {
  ArrowLeft: "previous picture",
  ArrowRight: "next picture",
  p: "previous group",
  n: "next group",
  " ": "blink",
  v: "next view",
  Escape: "all groups",
  k: "keep",
  x: "reject",
  s: "same",
  d: "different",
  b: "keep both",
  a: "reject others",
  u: "undo",
};

/** Call `act(name)` for each key that means something; it returns whether it did anything. */
export function listen(act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    // These have their own use of letters and arrows; a button is pressed by the space bar.
    if (event.target.closest("input, select, textarea, [popover]")) return;
    if (event.key === " " && event.target.closest("button, summary")) return;
    const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (name && !event.repeat && act(name)) event.preventDefault();
    else if (name?.endsWith("picture") && event.repeat && act(name)) event.preventDefault();
  });
}
