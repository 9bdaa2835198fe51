/** Thumbnails on a map, where there is room for them; few are in memory. */

import { thumbnail } from "./server.js";

// On the canvas at once, and in memory.
const MOST_SHOWN = 300;
const MOST_KEPT = 500;
const AT_ONCE = 6;
// The longer side in CSS pixels, far out and near.
const LEAST_SIDE = 46;
const MOST_SIDE = 132;
// A thumbnail far out may stand for so many points; for more after zooming in, or on a small map.
const STANDS_FOR = 3;
const SMALL = 20_000;
// A cell with so few points offers all of them, another one only one.
const FEW = 6;
// Statuses of pictures that have no thumbnail: gone, changed, unreadable.
const LASTING = [404, 409, 422];
// Milliseconds until another answer is asked for after any other failure; twice as long each time.
const PAUSE = 2000;

export class Thumbs {
  /** `onLoad()` is called when there is more to draw. */
  constructor(points, onLoad) {
    Object.assign(this, { points, onLoad, chosen: new Set(), queue: [] });
    this.kept = new Map();
    this.loading = new Map();
    this.broken = new Set();
    this.waiting = new Set();
    this.failures = new Map();
  }

  side(view) {
    return Math.max(LEAST_SIDE, Math.min(MOST_SIDE, view.scale * this.points.spacing));
  }

  /**
   * Choose what is shown: the same points while the map is moved, as cells of the map decide and
   * not of the window. Cells that are not too full offer points; of these the lowest rank comes
   * first, and none is chosen whose thumbnail would overlap another.
   */
  choose(view) {
    const side = this.side(view);
    const candidates = this.#candidates(view, side);
    candidates.sort((a, b) => this.points.ranks[a.index] - this.points.ranks[b.index]);
    this.chosen = new Set();
    const taken = new Map();
    for (const one of candidates) {
      if (this.chosen.size === MOST_SHOWN) break;
      if (isFree(taken, one, side)) this.chosen.add(one.index);
    }
    return this.chosen;
  }

  #candidates(view, side) {
    const { xs, ys, ranks } = this.points;
    const { scale } = view;
    const box = view.box(side);
    const [left, bottom] = [Math.floor((box.left * scale) / side), Math.floor((box.bottom * scale) / side)];
    const columns = Math.ceil(((box.right - box.left) * scale) / side) + 2;
    const rows = Math.ceil(((box.top - box.bottom) * scale) / side) + 2;
    const counts = new Uint32Array(columns * rows);
    const best = new Int32Array(columns * rows).fill(-1);
    const cellOf = (i) =>
      (Math.floor((ys[i] * scale) / side) - bottom) * columns + Math.floor((xs[i] * scale) / side) - left;
    this.points.within(box, (i) => {
      const cell = cellOf(i);
      counts[cell]++;
      if (best[cell] < 0 || ranks[i] < ranks[best[cell]]) best[cell] = i;
    });
    const most = STANDS_FOR * view.zoom * Math.max(1, SMALL / this.points.n);
    const found = [];
    this.points.within(box, (i) => {
      const cell = cellOf(i);
      if (counts[cell] > most || (counts[cell] > FEW && best[cell] !== i)) return;
      if (!this.broken.has(i)) found.push({ index: i, x: xs[i] * scale, y: ys[i] * scale });
    });
    return found;
  }

  /** Draw what is loaded, each with an edge of paper. */
  draw(target, view, paper) {
    target.fillStyle = paper;
    for (const index of this.choose(view)) {
      const picture = this.#use(index);
      if (!picture) continue;
      const { x, y, width, height } = this.boxOf(view, index);
      target.fillRect(x - 1, y - 1, width + 2, height + 2);
      target.drawImage(picture, x, y, width, height);
    }
  }

  /** Return where the thumbnail of a point is drawn, in pixels; null if it is not. */
  boxOf(view, index) {
    const picture = this.kept.get(index);
    if (!picture || !this.chosen.has(index)) return null;
    const { x, y } = view.toScreen(this.points.xs[index], this.points.ys[index]);
    const factor = (this.side(view) - 4) / Math.max(picture.width, picture.height);
    const [width, height] = [picture.width * factor, picture.height * factor];
    return { x: x - width / 2, y: y - height / 2, width, height };
  }

  /** Return the index of the point whose thumbnail is at a pixel, or -1. */
  at(view, px, py) {
    for (const index of this.chosen) {
      const { x, y, width, height } = this.boxOf(view, index) ?? {};
      if (px >= x && px <= x + width && py >= y && py <= y + height) return index;
    }
    return -1;
  }

  /** Load what was chosen and is missing, from the middle outwards; end what is not wanted. */
  load(view) {
    for (const [index, ending] of this.loading) if (!this.chosen.has(index)) ending.abort();
    const far = (index) =>
      (this.points.xs[index] - view.x) ** 2 + (this.points.ys[index] - view.y) ** 2;
    this.queue = [...this.chosen]
      .filter((index) => this.#isMissing(index))
      .sort((a, b) => far(b) - far(a));
    this.#next();
  }

  #next() {
    while (this.queue.length && this.loading.size < AT_ONCE) this.#fetch(this.queue.pop());
  }

  async #fetch(index) {
    const controller = new AbortController();
    this.loading.set(index, controller);
    try {
      const answer = await fetch(thumbnail(this.points.id(index)), { signal: controller.signal });
      // What has no thumbnail stays a dot.
      if (LASTING.includes(answer.status)) this.broken.add(index);
      else if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      else this.#keep(index, await createImageBitmap(await answer.blob()));
    } catch {
      // What was ended may be wanted again at once.
      if (!controller.signal.aborted) this.#askLater(index);
    }
    this.loading.delete(index);
    this.onLoad();
    this.#next();
  }

  /** Ask again after a pause, if it is still shown then. */
  #askLater(index) {
    const n = this.failures.get(index) ?? 0;
    this.failures.set(index, n + 1);
    this.waiting.add(index);
    setTimeout(() => {
      this.waiting.delete(index);
      if (this.#isMissing(index) && this.chosen.has(index)) this.queue.unshift(index);
      this.#next();
    }, PAUSE * 2 ** n);
  }

  #isMissing(index) {
    return ![this.kept, this.loading, this.waiting].some((held) => held.has(index));
  }

  #keep(index, picture) {
    this.failures.delete(index);
    this.kept.set(index, picture);
    for (const [old, drawn] of this.kept) {
      if (this.kept.size <= MOST_KEPT) break;
      this.kept.delete(old);
      drawn.close();
    }
  }

  /** Return a picture, which becomes the last to be dropped. */
  #use(index) {
    const picture = this.kept.get(index);
    if (!picture) return null;
    this.kept.delete(index);
    this.kept.set(index, picture);
    return picture;
  }
}

/** Tell whether a square fits beside those that are taken, and take it. */
function isFree(taken, { x, y }, side) {
  const [column, row] = [Math.floor(x / side), Math.floor(y / side)];
  for (let r = row - 1; r <= row + 1; r++) {
    for (let c = column - 1; c <= column + 1; c++) {
      const other = taken.get(`${c} ${r}`);
      if (other && Math.abs(other.x - x) < side && Math.abs(other.y - y) < side) return false;
    }
  }
  taken.set(`${column} ${row}`, { x, y });
  return true;
}
