/** The projections of a collection in review mode: activates one, and tells how it goes. */

import { followed, LOST } from "./following.js";
import { hush, say, tell } from "./messages.js";
import { collectionOf, file } from "./server.js";

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
    const change = await followed(await begin(), collection.change, told);
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

function told({ said }) {
  if (said) say(`Working: ${said}. Searches go on with the active projection`);
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
