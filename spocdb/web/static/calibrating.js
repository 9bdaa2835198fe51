/** Calibrates a collection in review mode, tells how it goes, then shows what is stored. */

import { count } from "./elements.js";
import { followed, LOST } from "./following.js";
import { hush, tell } from "./messages.js";
import { collectionOf } from "./server.js";

const form = document.getElementById("calibrate");
const collection = collectionOf(document.querySelector("main").dataset.collection);
const { precision } = form.elements;
const progress = form.querySelector("progress");
const status = form.querySelector("output");

/** Begin a calibration or find one that runs, and follow it to its end. */
async function work(begin) {
  hush();
  busy(true);
  try {
    const found = await followed(await begin(), collection.calibration, told);
    if (found?.measured?.picture != null) {
      location.reload();
      return;
    }
    tell({ message: found?.measured ? tooMany(found.measured) : (found?.said ?? LOST) });
  } catch (error) {
    tell(error);
  }
  busy(false);
}

const tooMany = (measured) =>
  `No distance has precision ${measured.precision}, so nothing is stored. Decide about copies among the nearest pictures, or ask for less`;

function told({ n_done: done, n_due: due }) {
  if (!due) return;
  progress.max = due;
  progress.value = done;
  status.textContent = `Changed ${done.toLocaleString("en")} of ${count(due, "picture")}`;
}

function busy(isBusy) {
  status.textContent = isBusy ? "Changing pictures and comparing them. You may leave this page" : "";
  progress.hidden = !isBusy;
  progress.removeAttribute("value");
  for (const element of form.elements) element.disabled = isBusy;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = { precision: precision.valueAsNumber };
  work(() => collection.calibrate(wanted));
});
if (form.dataset.state === "running") work(collection.calibration);
