/** One group: the kept picture beside another one of it, and all of them as a strip. */

import { nameOf } from "./elements.js";
import { compare } from "./review-facts.js";
import { membersOf } from "./review-groups.js";
import { Stage, VIEWS } from "./review-stage.js";
import { missing, tile } from "./review-tiles.js";

const part = (id) => document.getElementById(id);

export class Pair {
  /** `linkTo(group, image)` is an address; `onView(view)` and `onError(error)` are called. */
  constructor({ linkTo, seen, onView, onError }) {
    Object.assign(this, { linkTo, seen, onView, onError, group: null, image: null });
    this.stage = new Stage(part("stage"), (id) => seen.add(id));
    part("views").addEventListener("click", ({ target }) => {
      const view = target.closest("[data-view]")?.dataset.view;
      if (view) onView(view);
    });
    part("automatic").addEventListener("click", () => this.#play(!this.stage.isPlaying));
    part("gain").addEventListener("change", ({ target }) => this.#brighten(target.value));
    this.#brighten(part("gain").querySelector("select").value);
  }

  get isShown() {
    return !part("pair").hidden;
  }

  /** Show a group, and in it an image beside the keeper: the one with the id, or the first other. */
  show(group, id, view) {
    const others = group.others;
    const image = membersOf(group).find((one) => one.id === id) ?? others[0];
    const isKeeper = image.id === group.keeper.id;
    Object.assign(this, { group, image, view });
    part("pair").hidden = false;
    part("pair").setAttribute("aria-label", `Group of ${nameOf(group.keeper.path)}`);
    this.stage.show(group.keeper, isKeeper ? null : image, view);
    this.#play(this.stage.isPlaying);
    this.#strip();
    for (const button of part("views").children) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    part("automatic").hidden = view !== "blink";
    part("gain").hidden = view !== "difference";
    compare(part("facts"), group.keeper, isKeeper ? null : image).catch(this.onError);
  }

  hide() {
    part("pair").hidden = true;
    this.group = null;
    this.stage.clear();
    part("facts").replaceChildren();
  }

  /** Return the picture after or before the present one in the group. */
  beside(step) {
    const all = membersOf(this.group);
    return all[all.findIndex(({ id }) => id === this.image.id) + step];
  }

  /** Blink once; in another view, begin to. */
  blink() {
    if (this.view === "blink") this.stage.flip();
    else this.onView("blink");
  }

  nextView() {
    this.onView(VIEWS[(VIEWS.indexOf(this.view) + 1) % VIEWS.length]);
  }

  #play(isOn) {
    this.stage.play(isOn);
    part("automatic").setAttribute("aria-pressed", String(isOn));
  }

  #brighten(times) {
    part("stage").style.setProperty("--gain", times);
  }

  #strip() {
    const strip = part("strip");
    const had = strip.contains(document.activeElement);
    if (this.drawn !== this.group) {
      const tiles = membersOf(this.group).map((image) => tile(image, this.group, this));
      strip.replaceChildren(...tiles, ...[missing(this.group)].filter(Boolean));
      this.drawn = this.group;
    }
    for (const link of strip.querySelectorAll("a")) {
      const isOwn = Number(link.parentElement.dataset.id) === this.image.id;
      link.setAttribute("aria-current", String(isOwn));
      if (!isOwn) continue;
      // The window stays where it is.
      const { left, width } = link.getBoundingClientRect();
      const frame = strip.getBoundingClientRect();
      strip.scrollLeft += left + width / 2 - (frame.left + frame.width / 2);
      if (had) link.focus({ preventScroll: true });
    }
  }
}
