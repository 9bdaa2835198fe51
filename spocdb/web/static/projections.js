/** The projections of a collection in review mode: activates one, and tells how it goes. */

import { element } from "./elements.js";
import { collectionOf, file, Problem } from "./server.js";

const SECONDS_BETWEEN_LOOKS = 1;

const part = (id) => document.getElementById(id);
const collection = collectionOf(document.querySelector("main").dataset.collection);

document.querySelector("main").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-change]");
  if (button) make(button);
});
if (part("versions").dataset.state === "running") work(() => collection.change());

function make(button) {
  const { change, number } = button.dataset;
  return work(() => (change === "rollback" ? collection.rollback() : collection.activate(number)));
}

/** Begin a change or find one, and follow it to its end; meanwhile no other can begin. */
async function work(begin) {
  part("notes").replaceChildren();
  busy(true, "Working. Searches go on with the active projection");
  try {
    const change = await followed(await begin());
    await refresh();
    busy(false, change.state === "done" ? `Projection ${change.projection} is active` : "");
    if (change.state === "done") focus(change.projection);
    else tell(change.said);
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    busy(false, "");
    tell(error.message);
  }
}

async function followed(change) {
  while (change.state === "running") {
    if (change.said) say(`Working: ${change.said}. Searches go on with the active projection`);
    await new Promise((resolve) => setTimeout(resolve, SECONDS_BETWEEN_LOOKS * 1000));
    change = await collection.change();
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
const tell = (text) => part("notes").replaceChildren(element("p", {}, text));

function say(text) {
  // Screen readers read every change.
  if (part("status").textContent !== text) part("status").textContent = text;
}
