/** Elements, whose texts are always texts: nothing here reads markup. */

/**
 * Return a new element. Keys of `values` are attributes, or with `on` event listeners; null and
 * false leave an attribute out.
 */
export function element(name, values = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** Return an icon of one path on a square of 20. */
export function icon(path) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 20 20");
  drawing.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  drawing.append(line);
  return drawing;
}

export const ICONS = {
  cross: "m5 5 10 10M15 5 5 15",
  tick: "m4 10.5 4 4L16 6",
  down: "m6 8.5 4 4 4-4",
  crop: "M5.5 2v12.500H18M2 5.500h12.500V18",
};

/** Return the last part of a path, which is what people call the picture. */
export const nameOf = (path) => path.split("/").findLast((part) => part) ?? path;

const number = new Intl.NumberFormat("en");
export const count = (n, one, several = `${one}s`) => `${number.format(n)} ${n === 1 ? one : several}`;
