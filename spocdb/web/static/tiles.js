/** Tiles of the grid: a picture that links to those like it, and for a result its distance. */

import { element, icon, ICONS, nameOf } from "./elements.js";
import { thumbnail } from "./server.js";

/** The height below a result's picture, for its distance and marks, in CSS pixels. */
export const CAPTION = 34;

/**
 * Return the tile of an image. `linkTo(id)` is the address of the pictures like it, `mark` is what
 * is marked, and `mark.set(id, isRight)` marks it.
 */
export function tile(image, { linkTo, mark, existing }) {
  const name = nameOf(image.path);
  const made = existing ?? element("li", { class: "tile", "data-id": image.id }, picture(image));
  const link = made.querySelector("a");
  link.href = linkTo(image.id);
  link.dataset.name = name;
  made.querySelector("img").loading = "eager";
  if (image.isAlone) {
    made.classList.add("is-alone");
    link.append(element("span", { class: "alone" }, "only here"));
  }
  if (image.distance !== undefined) made.append(caption(image, mark));
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

function caption(image, mark) {
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
  return element("div", { class: "caption" }, distance, bar, ...markers(image, mark));
}

function markers(image, { isRight, isWrong, set }) {
  const id = String(image.id);
  const marker = (word, drawing, marked, right) =>
    element(
      "button",
      {
        class: "marker",
        "aria-label": `${word}: ${nameOf(image.path)}`,
        "aria-pressed": String(marked.includes(id)),
        title: `${word}: search for ${right ? "more" : "less"} like this, too`,
        onclick: () => set(id, right),
      },
      icon(drawing),
    );
  return [
    marker("Right", ICONS.tick, isRight, true),
    marker("Wrong", ICONS.cross, isWrong, false),
  ];
}
