/** Which part of a map the canvas shows: its centre in the map's numbers, and how large. */

// So many times larger than the whole map.
const MOST = 4000;
const LEAST = 0.5;
// Around the whole map: a part of the window, at most so many CSS pixels.
const MARGIN = 0.07;
const MOST_MARGIN = 48;

export class View {
  /** `isEmpty(box)` tells whether a part of the map has no point. */
  constructor({ left, bottom, width, height }, isEmpty) {
    this.isEmpty = isEmpty;
    this.middle = { x: left + width / 2, y: bottom + height / 2 };
    this.extent = { width, height };
    Object.assign(this, { width: 1, height: 1, zoom: 1, ...this.middle });
  }

  /** CSS pixels of one unit of the map. */
  get scale() {
    const margin = Math.min(MOST_MARGIN, MARGIN * Math.min(this.width, this.height));
    const across = (this.width - 2 * margin) / (this.extent.width || 1);
    const down = (this.height - 2 * margin) / (this.extent.height || 1);
    return Math.max(Math.min(across, down), 1e-6) * this.zoom;
  }

  resize(width, height) {
    Object.assign(this, { width, height });
  }

  /** Show a place; values that are missing or none stay as they are. */
  goTo({ x, y, zoom }) {
    if (Number.isFinite(zoom)) this.zoom = Math.max(LEAST, Math.min(zoom, MOST));
    if (Number.isFinite(x) && Number.isFinite(y)) this.#centre(x, y);
  }

  showAll() {
    this.goTo({ ...this.middle, zoom: 1 });
  }

  get isAll() {
    return this.zoom === 1 && this.x === this.middle.x && this.y === this.middle.y;
  }

  /** Move what is shown by pixels. */
  pan(dx, dy) {
    this.#centre(this.x - dx / this.scale, this.y + dy / this.scale);
  }

  /** Zoom around a pixel, which stays where it is; but not into a place without points. */
  zoomAt(factor, px = this.width / 2, py = this.height / 2) {
    const was = { x: this.x, y: this.y, zoom: this.zoom };
    const before = this.toMap(px, py);
    this.goTo({ zoom: this.zoom * factor });
    const after = this.toMap(px, py);
    this.#centre(this.x + before.x - after.x, this.y + before.y - after.y);
    if (factor > 1 && this.isEmpty(this.box())) this.goTo(was);
  }

  /** The middle never leaves the map, so nobody gets lost. */
  #centre(x, y) {
    const within = (value, middle, extent) =>
      Math.max(middle - extent / 2, Math.min(value, middle + extent / 2));
    this.x = within(x, this.middle.x, this.extent.width);
    this.y = within(y, this.middle.y, this.extent.height);
  }

  toMap(px, py) {
    const { scale } = this;
    return {
      x: this.x + (px - this.width / 2) / scale,
      y: this.y - (py - this.height / 2) / scale,
    };
  }

  toScreen(x, y) {
    const { scale } = this;
    return {
      x: this.width / 2 + (x - this.x) * scale,
      y: this.height / 2 - (y - this.y) * scale,
    };
  }

  /** Return the part of the map in the window, and `margin` pixels around it. */
  box(margin = 0) {
    return this.around(this.width / 2, this.height / 2, this.width / 2 + margin, this.height / 2 + margin);
  }

  /** Return a part of the map around a pixel. */
  around(px, py, across, down = across) {
    const { x, y } = this.toMap(px, py);
    const [dx, dy] = [across / this.scale, down / this.scale];
    return { left: x - dx, right: x + dx, bottom: y - dy, top: y + dy };
  }
}
