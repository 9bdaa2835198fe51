/** Rows of pictures that all are as wide as the grid: each keeps its shape, rows differ in height. */

// Panoramas and receipts are cut, or one would fill a row or leave a sliver.
const NARROWEST = 0.62;
const WIDEST = 3;

export const shape = ({ width, height }) =>
  Math.min(WIDEST, Math.max(NARROWEST, width && height ? width / height : 4 / 3));

/** Return the height that rows should have in a grid of some width, in CSS pixels. */
export const rowHeight = (width, least) =>
  Math.min(Math.max(width / 7, least), width > 2400 ? 256 : 192);

/**
 * Return the rows of items[from...], each { start, end, top, height }.
 *
 * A row ends before an item in `breaks`, whose own row is `divider` lower.
 */
export function justify(items, from, top, { width, gap, caption, divider, breaks }) {
  const rows = [];
  // Number and marks need room below the narrowest picture.
  const target = rowHeight(width, caption ? 144 : 108);
  let start = from;
  let shapes = 0;
  // A row that is not full is not stretched; it looks like the one above.
  const short = () => rows.at(-1)?.height ?? target;
  const finish = (end, height) => {
    top += breaks.has(start) ? divider : 0;
    rows.push({ start, end, top, height });
    top += height + caption + gap;
    start = end;
    shapes = 0;
  };
  for (let at = from; at < items.length; at++) {
    if (at > start && breaks.has(at)) finish(at, short());
    shapes += shape(items[at]);
    const height = (width - gap * (at - start)) / shapes;
    if (height <= target) finish(at + 1, height);
  }
  if (start < items.length) finish(items.length, short());
  return rows;
}

/** Return the index of the first row whose lower edge is below a height. */
export function rowAt(rows, height) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].top + rows[middle].height < height) low = middle + 1;
    else high = middle;
  }
  return low;
}
