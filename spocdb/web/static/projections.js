/** The projections of a collection in review mode: activates one, and tells how it goes. */

import { hush, say, tell } from "./messages.js";
import { collectionOf, file, Problem } from "./server.js";

const SECONDS_BETWEEN_LOOKS = 1;
// The change goes on while the server, or the way to it, does not answer for a moment.
const MOST_FAILURES = 10;

const LOST = "The server was started again meanwhile. The list shows what is active";

const part = (id) => document.getElementById(id);
const collection = collectionOf(document.querySelector("main").dataset.collection);

document.querySelector("main").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-change]");
  if (button) make(button);
});
if (part("versions").dataset.state === "running") work(() => collection.change());

function make(button) {
  const { change, number } = button.dataset;
  const begin = change === "rollback" ? collection.rollback : collection.activate;
  return work(() => begin(number));
}

/** Begin a change or find one, and follow it to its end; meanwhile no other can begin. */
async function work(begin) {
  hush();
  busy(true, "Working. Searches go on with the active projection");
  try {
    const change = await followed(await begin());
    await refresh();
    busy(false, change?.state === "done" ? `Projection ${change.projection} is active` : "");
    if (change?.state === "done") focus(change.projection);
    else tell({ message: change?.said ?? LOST });
  } catch (error) {
    // A refusal may be of a list that is out of date.
    await refresh().catch(() => {});
    busy(false, "");
    tell(error);
  }
}

/** Ask until the change has ended; null if the server was started again, and knows of none. */
async function followed(change) {
  let failures = 0;
  while (change?.state === "running") {
    if (change.said) say(`Working: ${change.said}. Searches go on with the active projection`);
    await new Promise((resolve) => setTimeout(resolve, SECONDS_BETWEEN_LOOKS * 1000));
    try {
      change = await collection.change();
      failures = 0;
    } catch (error) {
      if (!(error instanceof Problem) || ++failures > MOST_FAILURES) throw error;
    }
  }
  return change;
}

/** Draw the list again as the server has it now. */
async function refresh() {
  const text = await (await file(location.href)).text();
  const found = new DOMParser().parseFromString(text, "text/html");
  part("versions").replaceWith(found.getElementById("versions"));
}

function busy(isBusy, text) {
  say(text);
  part("progress").hidden = !isBusy;
  for (const button of document.querySelectorAll("[data-change]")) button.disabled = isBusy;
}

const focus = (number) => document.querySelector(`#projection-${number} h2`)?.focus();
