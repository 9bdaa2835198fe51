/** Moving and zooming a map: mouse, wheel, one finger or two, keys. */

// A press that moved less is a click.
const CLICK = 5;
// Key steps: a part of the window, and a factor.
const STEP = 0.2;
export const FACTOR = 1.6;
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class Gestures {
  /**
   * `on` has what is called: moved() after the view was changed here, glide(change) to change it
   * step by step, over(pixel or null, isTouch), click(pixel, event), enter().
   */
  constructor(canvas, view, on) {
    Object.assign(this, { canvas, view, on });
    this.pressed = new Map();
    const listen = (name, action, options) =>
      canvas.addEventListener(name, (event) => action.call(this, event), options);
    listen("pointerdown", this.#down);
    listen("pointermove", this.#move);
    listen("pointerup", this.#up);
    listen("pointercancel", this.#cancel);
    // A finger that is lifted leaves too; what it tapped stays.
    listen("pointerleave", (event) => event.pointerType === "mouse" && on.over(null));
    listen("wheel", this.#wheel, { passive: false });
    listen("keydown", this.#key);
  }

  #pixel(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  #down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed.set(event.pointerId, this.#pixel(event));
    // After two fingers no finger clicks.
    this.travelled = this.pressed.size > 1 ? Infinity : 0;
  }

  #move(event) {
    const now = this.#pixel(event);
    const before = this.pressed.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.on.over(now);
      return;
    }
    this.travelled += Math.hypot(now.x - before.x, now.y - before.y);
    const [was, is] = this.#fingers(event.pointerId, now);
    this.pressed.set(event.pointerId, now);
    if (this.travelled < CLICK) return;
    this.canvas.classList.add("is-moving");
    this.on.over(null);
    this.view.pan(is.x - was.x, is.y - was.y);
    if (was.apart) this.view.zoomAt(is.apart / was.apart, is.x, is.y);
    this.on.moved();
  }

  /** Return the middle of all fingers before and after one moves, and how far apart two are. */
  #fingers(id, now) {
    const others = [...this.pressed].filter(([other]) => other !== id).map(([, pixel]) => pixel);
    const gathered = (pixels) => ({
      x: pixels.reduce((sum, pixel) => sum + pixel.x, 0) / pixels.length,
      y: pixels.reduce((sum, pixel) => sum + pixel.y, 0) / pixels.length,
      apart: pixels[1] && Math.hypot(pixels[0].x - pixels[1].x, pixels[0].y - pixels[1].y),
    });
    return [gathered([this.pressed.get(id), ...others]), gathered([now, ...others])];
  }

  #up(event) {
    const isClick = this.pressed.size === 1 && this.travelled < CLICK;
    this.#cancel(event);
    if (isClick) this.on.click(this.#pixel(event), event);
  }

  #cancel(event) {
    this.pressed.delete(event.pointerId);
    if (!this.pressed.size) this.canvas.classList.remove("is-moving");
  }

  #wheel(event) {
    event.preventDefault();
    // Firefox counts lines; a pinch on a touchpad comes as a wheel with Ctrl, in small steps.
    const step = event.deltaY * (event.deltaMode ? 20 : 1) * (event.ctrlKey ? 5 : 1);
    const { x, y } = this.#pixel(event);
    this.view.zoomAt(Math.exp(-Math.max(-300, Math.min(step, 300)) / 400), x, y);
    this.on.moved();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    const { width, height } = this.view;
    if (arrow) this.on.glide((view) => view.pan(arrow[0] * STEP * width, arrow[1] * STEP * height));
    else if (event.key === "+" || event.key === "=") this.on.glide((view) => view.zoomAt(FACTOR));
    else if (event.key === "-") this.on.glide((view) => view.zoomAt(1 / FACTOR));
    else if (event.key === "0") this.on.glide((view) => view.showAll());
    else if (event.key === "Enter") this.on.enter();
    else return;
    event.preventDefault();
  }
}
