/** What is known of two pictures, side by side; what differs is marked. */

import { element } from "./elements.js";
import { image } from "./server.js";

const MOST_KEPT = 200;
const MOST_KEYS = 200;
const LONGEST = 600;

const known = new Map();
const number = new Intl.NumberFormat("en");

/** Return all that is known of a picture, which is asked for once. */
function detailsOf(id) {
  if (!known.has(id)) {
    if (known.size === MOST_KEPT) known.delete(known.keys().next().value);
    known.set(id, image(id));
    known.get(id).catch(() => known.delete(id));
  }
  return known.get(id);
}

/** Show the facts of the kept picture and another one, unless others were asked for meanwhile. */
export async function compare(shown, keeper, other) {
  const own = `${keeper.id} ${other?.id}`;
  shown.dataset.asked = own;
  const pair = other ? [keeper, other] : [keeper];
  const details = await Promise.all(pair.map(({ id }) => detailsOf(id)));
  if (shown.dataset.asked !== own) return;
  const rows = rowsOf(pair, details).map(([name, ...values]) => row(name, values));
  const heads = ["Kept", "Copy"].slice(0, pair.length);
  shown.replaceChildren(
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, element("td"), ...heads.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...rows),
    ),
  );
}

function rowsOf(pair, details) {
  const each = (name, read) => [name, ...details.map((one, at) => read(one, pair[at]))];
  const keys = [...new Set(details.flatMap(({ metadata }) => Object.keys(metadata)))].slice(0, MOST_KEYS);
  return [
    each("Path", ({ path }) => path),
    each("Pixels", ({ width, height }) => `${number.format(width)} x ${number.format(height)}`),
    each("Bytes", ({ size }) => number.format(size)),
    each("Format", formatOf),
    each("Modified", ({ modified }) => day(modified)),
    each("Added", ({ ingested_at: when }) => day(when)),
    each("SHA-256", ({ sha256 }) => sha256.slice(0, 12)),
    ...(pair.length > 1 ? [["Distance", null, pair[1].distance.toFixed(4)]] : []),
    ...(pair[1]?.level ? [["In common", null, `the same ${pair[1].level}`]] : []),
    ...keys.map((key) => each(key, ({ metadata }) => text(metadata[key]))),
  ];
}

/** Return the format by the name of a file; rows of a table have none. */
function formatOf({ path, table }) {
  const [, suffix] = table ? [] : (/\.([a-z0-9]{1,5})$/i.exec(path) ?? []);
  return suffix ? suffix.toUpperCase() : "";
}

const day = (when) => (when ? when.slice(0, 16).replace("T", " ") : "");
const written = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const text = (value) => (value === undefined ? "" : written(value).slice(0, LONGEST));

function row(name, values) {
  const differs = values.length > 1 && values[0] !== null && values[0] !== values[1];
  return element(
    "tr",
    { class: differs ? "differs" : null },
    element("th", { scope: "row" }, name, differs ? element("span", { class: "unseen" }, ", differs") : null),
    ...values.map((value) => element("td", {}, value || "–")),
  );
}
