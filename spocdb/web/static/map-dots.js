/**
 * Points as soft dots whose colour deepens where they lie on each other.
 *
 * They are added up in the pixels of one image: for 100,000 points that is faster than drawing, and
 * needs no graphics card.
 */

// The radius in CSS pixels, far out and near.
const LEAST_RADIUS = 1.2;
const MOST_RADIUS = 3.5;
// What a whole dot adds to a pixel, and the sum from which nothing deepens any more.
const WHOLE = 16;
const MOST = 4095;
// The part of the colour that one dot covers.
const ALONE = 0.5;

export class Dots {
  /** Draw all points in `view` on `target`, whose pixels are `ratio` times CSS pixels. */
  draw(target, points, view, ratio, { colour, deep }) {
    const { width, height } = target.canvas;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = target.createImageData(width, height);
      this.words = new Uint32Array(this.image.data.buffer);
      this.sums = new Uint16Array(width * height);
    }
    this.words.fill(0);
    this.sums.fill(0);
    const grown = LEAST_RADIUS * view.zoom ** 0.3 * room(points.n);
    this.#add(points, view, ratio, softDisc(ratio * Math.min(MOST_RADIUS, grown)), ramp(colour, deep));
    target.putImageData(this.image, 0, 0);
  }

  #add(points, view, ratio, disc, colours) {
    const { words, sums } = this;
    const { width, height } = this.image;
    const { xs, ys } = points;
    const { reach, side, weights } = disc;
    const scale = view.scale * ratio;
    const across = (view.width / 2) * ratio - view.x * scale - reach;
    const down = (view.height / 2) * ratio + view.y * scale - reach;
    points.spans(view.box(reach), (from, to) => {
      for (let i = from; i < to; i++) {
        const left = Math.round(across + xs[i] * scale);
        const top = Math.round(down - ys[i] * scale);
        if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
        for (let row = 0, w = 0; row < side; row++) {
          let at = (top + row) * width + left;
          for (let column = 0; column < side; column++, w++, at++) {
            if (!weights[w] || sums[at] > MOST - WHOLE) continue;
            sums[at] += weights[w];
            words[at] = colours[sums[at]];
          }
        }
      }
    });
  }
}

/** Few points are drawn larger. */
const room = (n) => Math.max(1, Math.min(2.4, (20000 / n) ** 0.25));

/** Return a disc with a soft edge: what it adds to each of side x side pixels. */
function softDisc(radius) {
  const reach = Math.ceil(radius);
  const side = 2 * reach + 1;
  const weights = new Uint8Array(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const distance = Math.hypot(row - reach, column - reach);
      weights[row * side + column] = WHOLE * Math.max(0, Math.min(1, radius + 0.5 - distance));
    }
  }
  return { reach, side, weights };
}

/** Return the pixel of each sum: from nothing to a colour, and further to a deep one. */
function ramp(colour, deep) {
  const colours = new Uint32Array(MOST + 1);
  const bytes = new Uint8ClampedArray(colours.buffer);
  for (let sum = 0; sum <= MOST; sum++) {
    const n = sum / WHOLE;
    const depth = 0.85 * Math.max(0, Math.log(n) / Math.log(MOST / WHOLE));
    const alpha = n < 1 ? ALONE * n : 1 - (1 - ALONE) / n;
    const mixed = colour.map((value, i) => value + (deep[i] - value) * depth);
    bytes.set([...mixed, 255 * alpha], 4 * sum);
  }
  return colours;
}
