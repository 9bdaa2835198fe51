/** Calibrates a collection in review mode, tells how it goes, then shows what is stored. */

import { Changing } from "./following.js";
import { collectionOf } from "./server.js";

const form = document.getElementById("calibrate");
const collection = collectionOf(document.querySelector("main").dataset.collection);

new Changing(form, {
  asked: () => ({ precision: form.elements.precision.valueAsNumber }),
  begin: collection.calibrate,
  look: collection.calibration,
  doing: "Changing pictures and comparing them",
  done: () => "Changed",
});
