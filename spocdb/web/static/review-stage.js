/** Two pictures side by side, in the same place, or as their difference. */

import { element, nameOf } from "./elements.js";
import { picture, thumbnail } from "./server.js";

export const VIEWS = ["beside", "blink", "difference"];
// A person sees what moves, and still has time to look.
const BLINK = 700;

export class Stage {
  /** `onSeen(id)` is called when a picture is on screen. */
  constructor(shown, onSeen) {
    Object.assign(this, { shown, onSeen, key: "", view: "beside", isOther: false });
  }

  /** Show the kept picture and another one of its group; without one, the kept one alone. */
  show(keeper, other, view) {
    const key = `${keeper.id} ${other?.id}`;
    const isNew = key !== this.key;
    Object.assign(this, { key, view });
    if (isNew) this.#draw(keeper, other);
    if (isNew || view === "blink") this.#turn(false);
    this.shown.dataset.view = view;
    if (view !== "blink") this.play(false);
  }

  clear() {
    this.play(false);
    this.key = "";
    this.shown.replaceChildren();
  }

  /** Blink: show the other picture of the two. */
  flip() {
    this.#turn(!this.isOther);
  }

  get isPlaying() {
    return Boolean(this.playing);
  }

  /** Blink by itself, or no longer. */
  play(isOn) {
    clearInterval(this.playing);
    this.playing = isOn ? setInterval(() => this.flip(), BLINK) : null;
  }

  #turn(isOther) {
    this.isOther = isOther;
    this.shown.classList.toggle("is-other", isOther);
  }

  #draw(keeper, other) {
    const { width, height } = keeper;
    const shape = width && height ? width / height : 4 / 3;
    this.shown.style.setProperty("--shape", shape);
    this.shown.classList.toggle("is-wide", shape > 1);
    const pair = [this.#picture(keeper, "kept")];
    if (other) pair.push(this.#picture(other, "other"));
    this.shown.replaceChildren(...pair);
  }

  #picture(image, role) {
    const drawn = element("img", { alt: nameOf(image.path), decoding: "async", draggable: "false" });
    const seen = () => this.onSeen(image.id);
    // Whoever may not read the picture itself may still see its stored thumbnail.
    const small = () => {
      drawn.addEventListener("error", () => figure.classList.add("is-broken"), { once: true });
      drawn.src = thumbnail(image.id);
    };
    drawn.addEventListener("load", seen, { once: true });
    drawn.addEventListener("error", small, { once: true });
    drawn.src = picture(image.id);
    const word = role === "kept" ? "Kept" : "Copy";
    const figure = element(
      "figure",
      { class: role },
      drawn,
      element("figcaption", {}, `${word}: ${nameOf(image.path)}`),
    );
    return figure;
  }
}
