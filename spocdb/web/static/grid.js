/**
 * A grid of any number of pictures, of which only those near the window are elements.
 *
 * The list is as high as all its rows, so that the browser's own scrollbar works; rows are added
 * and removed while it scrolls. What stays for a picture far away is its small record.
 */

import { justify, rowAt, shape } from "./layout.js";

// Rows are elements from this many windows above to as many below.
const AROUND = 1;
// Further pictures are asked for when the end is this many windows away.
const AHEAD = 3;

export class Grid {
  /**
   * `makeTile(item, index)` returns an <li> with one <a>. `onEnd()` is called when the end comes
   * near.
   */
  constructor(list, { makeTile, onEnd }) {
    this.list = list;
    this.makeTile = makeTile;
    this.onEnd = onEnd;
    this.shown = new Map();
    this.clear();
    this.list.classList.add("is-placed");
    addEventListener("scroll", () => this.#soon(), { passive: true });
    new ResizeObserver(() => this.#resize()).observe(list);
    list.addEventListener("keydown", (event) => this.#onKey(event));
    list.addEventListener("focusin", (event) => this.#onFocus(event));
  }

  clear() {
    this.shown.forEach((tile) => remove(tile));
    this.shown.clear();
    this.list.replaceChildren();
    Object.assign(this, { items: [], rows: [], total: null, focused: 0 });
    Object.assign(this, { isEnded: true, breaks: new Map(), caption: 0 });
  }

  /**
   * Show other pictures. `breaks` maps an index to the text of a line above it, `caption` is the
   * height of what is below each picture, `isEnded` tells that no more follow, `total` how many
   * there will be, and `tiles` are elements that exist already, by id.
   */
  show(items, { isEnded, total = null, breaks = new Map(), caption = 0, tiles = new Map() }) {
    this.clear();
    Object.assign(this, { isEnded, total, breaks, caption });
    this.adopted = tiles;
    this.append(items, isEnded);
    this.adopted = new Map();
  }

  append(items, isEnded) {
    for (const item of items) this.items.push(item);
    this.isEnded = isEnded;
    // The last row was not full.
    const last = this.rows.pop();
    this.#lay(last ? last.start : 0);
    this.render();
  }

  /** Move the keyboard's focus to a picture, wherever it is. */
  focus(index) {
    this.focused = Math.max(0, Math.min(index, this.items.length - 1));
    const row = this.rows[this.#rowOf(this.focused)];
    if (!row) return;
    const { from, to } = this.#window(0);
    const margin = 80;
    if (row.top < from + margin) scrollTo(0, this.#offset() + row.top - margin);
    if (row.top + row.height + this.caption > to) {
      scrollTo(0, this.#offset() + row.top + row.height + this.caption - innerHeight + margin / 4);
    }
    this.render();
    this.shown.get(this.focused).querySelector("a").focus({ preventScroll: true });
  }

  render() {
    const { from, to } = this.#window(AROUND);
    const wanted = new Set([this.focused]);
    for (let at = rowAt(this.rows, from); at < this.rows.length && this.rows[at].top < to; at++) {
      for (let index = this.rows[at].start; index < this.rows[at].end; index++) wanted.add(index);
    }
    for (const [index, tile] of this.shown) {
      if (wanted.has(index)) continue;
      remove(tile);
      this.shown.delete(index);
    }
    if (this.items.length) this.#draw([...wanted].sort((a, b) => a - b));
    const height = this.rows.length ? this.rows.at(-1).top + this.rows.at(-1).height : 0;
    if (!this.isEnded && height - to < AHEAD * innerHeight) this.onEnd();
  }

  #draw(wanted) {
    let row = 0;
    let before = null;
    for (const index of wanted) {
      if (!(this.rows[row]?.start <= index && index < this.rows[row].end)) row = this.#rowOf(index);
      let tile = this.shown.get(index);
      if (!tile) {
        tile = this.#make(index);
        this.shown.set(index, tile);
        // Screen readers and the Tab key follow the order of the elements.
        if (before) before.after(tile);
        else this.list.prepend(tile);
      }
      this.#place(tile, index, this.rows[row]);
      before = tile;
    }
  }

  #make(index) {
    const item = this.items[index];
    const tile = this.makeTile(item, index, this.adopted?.get(String(item.id)));
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-setsize", this.total ?? (this.isEnded ? this.items.length : -1));
    if (this.breaks.has(index)) {
      const line = document.createElement("p");
      line.className = "jump";
      line.textContent = this.breaks.get(index);
      tile.prepend(line);
    }
    return tile;
  }

  #place(tile, index, row) {
    const place = this.#placeIn(row, index);
    const { style } = tile;
    style.setProperty("--x", `${place.x}px`);
    style.setProperty("--y", `${row.top}px`);
    style.setProperty("--w", `${place.width}px`);
    style.setProperty("--h", `${row.height}px`);
    reach(tile, index === this.focused);
  }

  #placeIn(row, index) {
    const { gap } = this.measures;
    let x = 0;
    for (let at = row.start; at < index; at++) x += shape(this.items[at]) * row.height + gap;
    return { x, width: shape(this.items[index]) * row.height };
  }

  #lay(from) {
    const wide = this.list.clientWidth;
    const gap = wide < 700 ? 4 : 8;
    this.measures = { width: wide, gap, caption: this.caption, divider: 44, breaks: this.breaks };
    const last = this.rows.at(-1);
    const top = last ? last.top + last.height + this.caption + gap : 0;
    for (const row of justify(this.items, from, top, this.measures)) this.rows.push(row);
    const end = this.rows.at(-1);
    this.list.style.setProperty("--width", `${wide}px`);
    this.list.style.setProperty("--height", `${end ? end.top + end.height + this.caption : 0}px`);
  }

  #resize() {
    if (!this.items.length || this.list.clientWidth === this.measures.width) return;
    // The picture at the top of the window stays there.
    const { from } = this.#window(0);
    const anchor = this.rows[rowAt(this.rows, from)];
    const beyond = from - (anchor?.top ?? 0);
    this.rows = [];
    this.#lay(0);
    if (anchor && from > 0) {
      scrollTo(0, this.#offset() + this.rows[this.#rowOf(anchor.start)].top + beyond);
    }
    this.render();
  }

  #soon() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.render();
    });
  }

  #offset() {
    return this.list.getBoundingClientRect().top + scrollY;
  }

  /** Return the part of the list that is in the window, and `around` windows above and below. */
  #window(around) {
    const from = scrollY - this.#offset();
    return { from: from - around * innerHeight, to: from + (1 + around) * innerHeight };
  }

  #rowOf(index) {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].end <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #onFocus(event) {
    const tile = event.target.closest(".tile");
    for (const [index, other] of this.shown) if (other === tile) this.focused = index;
    for (const other of this.shown.values()) reach(other, other === tile);
  }

  #onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !event.target.matches(".tile > a")) return;
    const to = {
      ArrowRight: () => this.focused + 1,
      ArrowLeft: () => this.focused - 1,
      ArrowDown: () => this.#beside(1),
      ArrowUp: () => this.#beside(-1),
      PageDown: () => this.#beside(4),
      PageUp: () => this.#beside(-4),
      Home: () => 0,
      End: () => this.items.length - 1,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    this.focus(to());
  }

  /** Return the picture most nearly below or above the focused one, some rows away. */
  #beside(n) {
    const own = this.#rowOf(this.focused);
    const other = this.rows[Math.max(0, Math.min(own + n, this.rows.length - 1))];
    const place = this.#placeIn(this.rows[own], this.focused);
    const middle = place.x + place.width / 2;
    let index = other.start;
    while (index + 1 < other.end && this.#placeIn(other, index + 1).x <= middle) index++;
    return index;
  }
}

/** Let the Tab key stop at a tile, or pass it: arrow keys lead from one to the next. */
function reach(tile, isFocused) {
  for (const one of tile.querySelectorAll("a, button")) one.tabIndex = isFocused ? 0 : -1;
}

/** Take a tile away, and end the loading of its picture. */
function remove(tile) {
  tile.querySelector("img").removeAttribute("src");
  tile.remove();
}
