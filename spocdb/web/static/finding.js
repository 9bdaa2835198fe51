/** Finds the duplicates of a collection in review mode, tells how it goes, then shows them. */

import { count } from "./elements.js";
import { followed, LOST } from "./following.js";
import { hush, tell } from "./messages.js";
import { collectionOf } from "./server.js";

const form = document.getElementById("find");
const collection = collectionOf(document.querySelector("main").dataset.collection);
const { what, distance } = form.elements;
const progress = form.querySelector("progress");
const status = form.querySelector("output");

/** Begin a search or find one that runs, and follow it to its end; meanwhile no other can begin. */
async function work(begin) {
  hush();
  busy(true);
  try {
    const found = await followed(await begin(), collection.finding, told);
    if (found?.state === "done") {
      location.reload();
      return;
    }
    tell({ message: found?.said ?? LOST });
  } catch (error) {
    tell(error);
  }
  busy(false);
}

/** What was compared is stored, so that closing the page loses nothing. */
function told({ step, n_done: done, n_due: due }) {
  if (!step) return;
  progress.max = due;
  progress.value = done;
  const text = step === "grouped" ? "Grouped" : "Compared";
  status.textContent = `${text} ${done.toLocaleString("en")} of ${count(due, "picture")}`;
}

function busy(isBusy) {
  status.textContent = isBusy ? "Looking for duplicates. You may leave this page" : "";
  progress.hidden = !isBusy;
  progress.removeAttribute("value");
  for (const element of form.elements) element.disabled = isBusy;
  if (!isBusy) choose();
}

const asked = () => {
  if (what.value === "distance") return { distance: distance.valueAsNumber };
  return what.value ? { level: what.value } : {};
};

/** A distance is given only where no level is. */
function choose() {
  distance.disabled = what.value !== "distance";
  distance.closest("label").hidden = distance.disabled;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = asked();
  work(() => collection.find(wanted));
});
what.addEventListener("change", choose);
choose();
if (form.dataset.state === "running") work(collection.finding);
