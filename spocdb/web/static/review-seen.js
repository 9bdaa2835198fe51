/** Which pictures were on screen: only these may be decided about together. */

// Most of a tile, so that its picture can be recognised.
const VISIBLE = 0.6;

export class Seen {
  /** `onChange()` is called when a picture was seen for the first time. */
  constructor(onChange) {
    Object.assign(this, { onChange, ids: new Set() });
    this.observer = new IntersectionObserver((entries) => this.#note(entries), { threshold: VISIBLE });
  }

  has(image) {
    return this.ids.has(image.id);
  }

  add(id) {
    if (this.ids.has(id)) return;
    this.ids.add(id);
    this.onChange();
  }

  /** Watch an element with the picture of an image; what did not load was not seen. */
  watch(shown, id) {
    if (this.ids.has(id)) return;
    shown.dataset.seen = id;
    this.observer.observe(shown);
  }

  #note(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#look(target);
    }
  }

  #look(shown) {
    this.observer.unobserve(shown);
    // Observed again, it is noted again if it is still on screen by then.
    if (shown.complete && shown.naturalWidth) this.add(Number(shown.dataset.seen));
    else shown.addEventListener("load", () => this.observer.observe(shown), { once: true });
  }
}
