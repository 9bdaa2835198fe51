/** The points of a map in typed arrays, sorted into a grid: so what is near is found at once. */

// Points in a cell of the grid on average.
const PER_CELL = 4;
const MOST_CELLS = 600;

/** Return the points in what the server sends: ids (int64), x, y (float32), little-endian. */
export function decode(buffer) {
  const n = buffer.byteLength / 16;
  return new Points(
    new BigInt64Array(buffer, 0, n),
    new Float32Array(buffer, 8 * n, n),
    new Float32Array(buffer, 12 * n, n),
  );
}

/**
 * Points by their index in the order of the grid: `xs`, `ys`, and `ranks`, which say which of two
 * points is shown where there is room for one. An id is a text, as in addresses.
 */
export class Points {
  constructor(ids, xs, ys) {
    this.n = ids.length;
    this.bounds = boundsOf(xs, ys);
    const { left, bottom, width, height } = this.bounds;
    this.side = Math.min(MOST_CELLS, Math.max(1, Math.ceil(Math.sqrt(this.n / PER_CELL))));
    this.cell = { width: width / this.side || 1, height: height / this.side || 1 };
    Object.assign(this, { left, bottom });
    this.#sort(ids, xs, ys);
    // How far neighbours are apart on average, where there are points.
    const occupied = this.starts.filter((start, c) => start < this.starts[c + 1]).length;
    this.spacing = Math.sqrt((occupied * this.cell.width * this.cell.height) / this.n);
  }

  /** Sort by cell, row by row: a counting sort. */
  #sort(ids, xs, ys) {
    const { n, side } = this;
    const cells = new Uint32Array(n);
    this.starts = new Uint32Array(side * side + 1);
    for (let i = 0; i < n; i++) {
      cells[i] = this.#row(ys[i]) * side + this.#column(xs[i]);
      this.starts[cells[i] + 1]++;
    }
    for (let c = 0; c < side * side; c++) this.starts[c + 1] += this.starts[c];
    const next = this.starts.slice();
    this.ids = new BigInt64Array(n);
    this.xs = new Float32Array(n);
    this.ys = new Float32Array(n);
    this.ranks = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      const at = next[cells[i]]++;
      this.ids[at] = ids[i];
      this.xs[at] = xs[i];
      this.ys[at] = ys[i];
      this.ranks[at] = scattered(Number(ids[i] & 0xffffffffn));
    }
  }

  #column(x) {
    return clamp(Math.floor((x - this.left) / this.cell.width), this.side);
  }

  #row(y) {
    return clamp(Math.floor((y - this.bottom) / this.cell.height), this.side);
  }

  /** Call `use(from, to)` with ranges of indices that hold all points in a rectangle, and others. */
  spans({ left, right, bottom, top }, use) {
    if (right < this.left || left > this.left + this.bounds.width) return;
    if (top < this.bottom || bottom > this.bottom + this.bounds.height) return;
    const [first, last] = [this.#column(left), this.#column(right)];
    for (let row = this.#row(bottom); row <= this.#row(top); row++) {
      const [from, to] = [row * this.side + first, row * this.side + last + 1];
      if (this.starts[from] < this.starts[to]) use(this.starts[from], this.starts[to]);
    }
  }

  /** Call `use(index)` with each point in a rectangle. */
  within(box, use) {
    const { xs, ys } = this;
    this.spans(box, (from, to) => {
      for (let i = from; i < to; i++) {
        const isIn = xs[i] >= box.left && xs[i] <= box.right && ys[i] >= box.bottom && ys[i] <= box.top;
        if (isIn) use(i);
      }
    });
  }

  /** Return the indices of the `k` points in a rectangle that are nearest to its middle. */
  nearest(box, k) {
    const [x, y] = [(box.left + box.right) / 2, (box.bottom + box.top) / 2];
    const found = [];
    let farthest = Infinity;
    this.within(box, (index) => {
      const distance = (this.xs[index] - x) ** 2 + (this.ys[index] - y) ** 2;
      if (distance >= farthest) return;
      const place = found.findIndex((one) => one.distance > distance);
      found.splice(place < 0 ? found.length : place, 0, { index, distance });
      if (found.length > k) found.pop();
      if (found.length === k) farthest = found.at(-1).distance;
    });
    return found.map((one) => one.index);
  }

  id(index) {
    return String(this.ids[index]);
  }
}

function boundsOf(xs, ys) {
  let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < xs.length; i++) {
    if (xs[i] < left) left = xs[i];
    if (xs[i] > right) right = xs[i];
    if (ys[i] < bottom) bottom = ys[i];
    if (ys[i] > top) top = ys[i];
  }
  if (!xs.length) return { left: 0, bottom: 0, width: 0, height: 0 };
  return { left, bottom, width: right - left, height: top - bottom };
}

const clamp = (value, n) => Math.max(0, Math.min(value, n - 1));

/** Return a number that has nothing to do with its neighbours': pictures are added in series. */
const scattered = (id) => Math.imul(id ^ (id >>> 16), 0x45d9f3b) >>> 0;
