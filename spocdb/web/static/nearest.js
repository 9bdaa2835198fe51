/** The nearest pairs of a calibration: decides about them in review mode, or takes that back. */

import { hush, tell } from "./messages.js";
import { collectionOf } from "./server.js";

const list = document.getElementById("nearest");
const main = document.querySelector("main");
const collection = collectionOf(main.dataset.collection);

/** Decide as the button says; one that is pressed already takes the decision back. */
async function decide(button) {
  const pair = button.closest("li");
  const ids = [Number(pair.dataset.id), Number(pair.dataset.other)];
  const isBack = button.getAttribute("aria-pressed") === "true";
  hush();
  try {
    await collection.decide(...ids, isBack ? null : button.dataset.verdict);
    for (const one of pair.querySelectorAll("[data-verdict]")) {
      one.setAttribute("aria-pressed", String(one === button && !isBack));
    }
    // The groups above may be others now.
    main.dispatchEvent(new CustomEvent("decided", { detail: ids }));
  } catch (error) {
    tell(error);
  }
}

/** Decide about a pair once at a time: a second click is meant for what the first one did. */
async function press({ target }) {
  const button = target.closest("[data-verdict]");
  const pair = button?.closest("li");
  if (!button || pair.ariaBusy === "true") return;
  pair.ariaBusy = "true";
  await decide(button);
  pair.ariaBusy = "false";
}

list.addEventListener("click", press);
for (const drawn of list.querySelectorAll("img")) {
  const broken = () => drawn.parentElement.classList.add("is-broken");
  drawn.addEventListener("error", broken);
  if (drawn.complete && !drawn.naturalWidth) broken();
}
