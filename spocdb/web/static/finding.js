/** Finds the duplicates of a collection in review mode, tells how it goes, then shows them. */

import { Changing } from "./following.js";
import { collectionOf } from "./server.js";

const form = document.getElementById("find");
const collection = collectionOf(document.querySelector("main").dataset.collection);
const { what, distance } = form.elements;

const asked = () => {
  if (what.value === "distance") return { distance: distance.valueAsNumber };
  return what.value ? { level: what.value } : {};
};

/** A distance is given only where no level is. */
function choose() {
  distance.disabled = what.value !== "distance";
  distance.closest("label").hidden = distance.disabled;
}

what.addEventListener("change", choose);
choose();
// What was compared is stored, so that closing the page loses nothing.
new Changing(form, {
  asked,
  begin: collection.find,
  look: collection.finding,
  doing: "Looking for duplicates",
  done: ({ step }) => (step === "grouped" ? "Grouped" : "Compared"),
  free: choose,
});
