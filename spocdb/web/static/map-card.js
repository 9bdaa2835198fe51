/** Cards of pictures on a map: one beside what is pointed at, and a list of those near the middle. */

import { element, nameOf } from "./elements.js";
import { image, thumbnail } from "./server.js";

// A pointer that only passes by asks for nothing.
const PAUSE = 60;
const MOST_NAMES = 500;
const APART = 16;
const EDGE = 8;

const names = new Map();
let latest;

/** Return the name of a picture, which is asked for once; without an answer its id, for now. */
async function nameIn(id) {
  const isAsked = names.has(id);
  if (!isAsked) {
    if (names.size === MOST_NAMES) names.delete(names.keys().next().value);
    names.set(id, image(id).then((known) => nameOf(known.path)));
  }
  const asked = names.get(id);
  try {
    return await asked;
  } catch {
    if (names.get(id) === asked) names.delete(id);
    // What failed an earlier question may be over by now.
    return isAsked ? nameIn(id) : `picture ${id}`;
  }
}

/** The card beside what is pointed at; a link, for fingers. */
export class Card {
  /** `linkTo(id)` is the address of pictures like one. */
  constructor(shown, linkTo) {
    Object.assign(this, { shown, linkTo, index: -1 });
  }

  /** Show the picture with an id beside a pixel of the stage. */
  show(index, id, { x, y }) {
    if (index === this.index) return;
    this.hide();
    this.index = index;
    this.waiting = setTimeout(() => this.#fill(index, id, x, y), PAUSE);
  }

  hide() {
    clearTimeout(this.waiting);
    this.index = -1;
    this.shown.hidden = true;
  }

  async #fill(index, id, x, y) {
    const name = await nameIn(id);
    if (index !== this.index) return;
    const drawn = element("img", { src: thumbnail(id), alt: "" });
    this.shown.replaceChildren(drawn, element("span", {}, name));
    this.shown.href = this.linkTo(id);
    this.shown.hidden = false;
    const place = () => this.#place(x, y);
    drawn.addEventListener("load", place, { once: true });
    place();
  }

  /** To the right of and below the pixel, or on the other side where there is no room. */
  #place(x, y) {
    const { offsetWidth: width, offsetHeight: height } = this.shown;
    const { clientWidth, clientHeight } = this.shown.parentElement;
    const fits = x + APART + width + EDGE < clientWidth;
    const left = fits ? x + APART : Math.max(EDGE, x - APART - width);
    const top = Math.max(EDGE, Math.min(y - height / 2, clientHeight - height - EDGE));
    this.shown.style.setProperty("--x", `${left}px`);
    this.shown.style.setProperty("--y", `${top}px`);
  }
}

/** Show pictures as a list of links, unless another list was asked for meanwhile. */
export async function list(shown, ids, linkTo) {
  const own = (latest = {});
  const known = await Promise.all(ids.map(nameIn));
  if (own !== latest) return;
  shown.replaceChildren(
    ...ids.map((id, at) =>
      element(
        "li",
        {},
        element(
          "a",
          { href: linkTo(id) },
          element("img", { src: thumbnail(id), alt: known[at], title: known[at] }),
        ),
      ),
    ),
  );
}
