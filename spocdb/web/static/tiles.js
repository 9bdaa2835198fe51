/** Tiles of the grid: a picture that links to those like it, and for a result its distance. */

import { element, nameOf } from "./elements.js";
import { thumbnail } from "./server.js";

/** The height below a result's picture, for its distance, in CSS pixels. */
export const CAPTION = 30;

/** Return the tile of an image; `linkTo(id)` is the address of the pictures like it. */
export function tile(image, linkTo, existing) {
  const name = nameOf(image.path);
  const made = existing ?? element("li", { class: "tile", "data-id": image.id }, picture(image));
  const link = made.querySelector("a");
  link.href = linkTo(image.id);
  link.dataset.does = "like";
  link.dataset.name = name;
  made.querySelector("img").loading = "eager";
  if (image.distance !== undefined) made.append(caption(image));
  return made;
}

function picture(image) {
  const drawn = element("img", {
    src: thumbnail(image.id),
    alt: nameOf(image.path),
    decoding: "async",
    draggable: "false",
    onload: () => drawn.classList.add("is-here"),
    onerror: () => drawn.parentElement?.classList.add("is-broken"),
  });
  return element("a", {}, drawn);
}

function caption(image) {
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  // A cosine distance is 0 to 2; beyond 1 two pictures have nothing in common.
  bar.style.setProperty("--part", Math.min(image.distance, 1));
  const number = image.distance.toFixed(3);
  const distance = element(
    "span",
    { class: "distance" },
    element("span", { class: "unseen" }, "distance "),
    number,
  );
  return element("div", { class: "caption" }, distance, bar);
}
