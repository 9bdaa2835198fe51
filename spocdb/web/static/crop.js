/**
 * A box on the query's picture, to search for a part of it: drawn by a mouse, pen or finger, or
 * placed by the arrow keys. A box is { x, y, width, height } in parts of the picture, 0 to 1.
 */

import { element } from "./elements.js";

// A smaller box was a click.
const LEAST = 0.03;
const STEP = 0.04;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value, most) => Math.max(0, Math.min(value, most));

/** Draws the box in `frame`; `onDone(box)` is called with a finished one, or null for none. */
export class CropBox {
  constructor(frame, box, onDone) {
    Object.assign(this, { frame, onDone, finished: box });
    this.shown = element("div", {
      class: "crop",
      role: "group",
      tabindex: "0",
      onkeydown: (event) => this.#onKey(event),
      onblur: () => this.#set(this.finished),
    });
    frame.append(this.shown);
    frame.addEventListener("pointerdown", (event) => this.#onPointer(event));
    this.#set(box);
  }

  /** Offer a box to the keyboard, and a finger the picture to draw on. */
  start() {
    this.frame.classList.add("is-choosing");
    this.#set(this.box ?? { x: 0.25, y: 0.25, width: 0.5, height: 0.5 });
    this.shown.focus();
  }

  #set(box) {
    this.box = box;
    this.shown.hidden = !box;
    if (!box) return;
    for (const [name, part] of Object.entries(box)) this.shown.style.setProperty(`--${name}`, part);
    const [left, top, width, height] = [box.x, box.y, box.width, box.height].map(
      (part) => `${Math.round(part * 100)} %`,
    );
    this.shown.setAttribute(
      "aria-label",
      `Part to search for: ${width} wide and ${height} high, ${left} from the left and ${top} ` +
        "from the top. Arrow keys move it, with Shift they resize it, Enter searches, Escape leaves",
    );
  }

  #finish(box) {
    this.finished = box;
    this.#set(box);
    this.frame.classList.remove("is-choosing");
    this.onDone(box);
  }

  #onKey(event) {
    if (event.key === "Enter") this.#finish(this.box);
    else if (event.key === "Escape") this.shown.blur();
    else if (KEYS[event.key]) this.#set(this.#moved(KEYS[event.key], event.shiftKey));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #moved([right, down], isResizing) {
    const { x, y, width, height } = this.box;
    if (isResizing) {
      return {
        x,
        y,
        width: Math.max(LEAST, within(width + right * STEP, 1 - x)),
        height: Math.max(LEAST, within(height + down * STEP, 1 - y)),
      };
    }
    return {
      x: within(x + right * STEP, 1 - width),
      y: within(y + down * STEP, 1 - height),
      width,
      height,
    };
  }

  #onPointer(event) {
    // A finger scrolls the page, unless a part was asked for.
    const isChoosing = this.frame.classList.contains("is-choosing");
    if (event.button || (event.pointerType === "touch" && !isChoosing)) return;
    event.preventDefault();
    const from = this.#at(event);
    const before = this.finished;
    this.frame.setPointerCapture(event.pointerId);
    const move = (moved) => this.#set(between(from, this.#at(moved)));
    const end = (ended) => {
      for (const name of ["pointermove", "pointerup", "pointercancel"]) {
        this.frame.removeEventListener(name, name === "pointermove" ? move : end);
      }
      const box = between(from, this.#at(ended));
      const isBox = ended.type === "pointerup" && Math.min(box.width, box.height) >= LEAST;
      if (isBox) this.#finish(box);
      else this.#set(before);
    };
    this.frame.addEventListener("pointermove", move);
    this.frame.addEventListener("pointerup", end);
    this.frame.addEventListener("pointercancel", end);
  }

  #at(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [within((event.clientX - left) / width, 1), within((event.clientY - top) / height, 1)];
  }
}

const between = ([x1, y1], [x2, y2]) => ({
  x: Math.min(x1, x2),
  y: Math.min(y1, y2),
  width: Math.abs(x2 - x1),
  height: Math.abs(y2 - y1),
});

/** Return a box as X,Y,WIDTH,HEIGHT in pixels of a picture of some size. */
export function inPixels(box, { width, height }) {
  const x = Math.floor(box.x * width);
  const y = Math.floor(box.y * height);
  const [wide, high] = [box.width * width, box.height * height];
  return [x, y, Math.max(1, Math.round(wide)), Math.max(1, Math.round(high))].join(",");
}

/** Return X,Y,WIDTH,HEIGHT in pixels as a box; null if it is none. */
export function inParts(text, { width, height }) {
  const parts = (text ?? "").split(",").map(Number);
  if (parts.length !== 4 || !parts.every((part) => part >= 0)) return null;
  const [x, y, wide, high] = parts;
  return { x: x / width, y: y / height, width: wide / width, height: high / height };
}

/** Return X,Y,WIDTH,HEIGHT for the same picture in another size. */
export function scaled(text, from, to) {
  const box = inParts(text, from);
  return box && inPixels(box, to);
}
