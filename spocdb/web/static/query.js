/** The query: a picture that was brought or is stored, what is known about it, and its parts. */

import { marks } from "./address.js";
import { CropBox, inParts, inPixels, scaled } from "./crop.js";
import { element, icon, ICONS, nameOf } from "./elements.js";
import { shown } from "./conditions.js";
import * as pictures from "./pictures.js";
import { file, image, picture, Problem, thumbnail } from "./server.js";

/** Thrown where an address names a picture that another browser keeps. */
export class PictureElsewhere extends Problem {}

/**
 * Return what a state searches with: { source, title, facts, size(), blob(), release() }. `source`
 * is where the picture is, `size()` its full size in pixels, `blob()` its file; `release()` frees
 * the memory that it holds.
 */
export async function load(state, signal) {
  return state.picture ? brought(state.picture) : stored(state.likes[0], signal);
}

async function brought(name) {
  const found = await pictures.find(name);
  if (!found) {
    throw new PictureElsewhere(
      "This address searches with a picture that this browser does not have: it was brought in " +
        "another one, or twenty others were brought since. Drop or choose the same picture to " +
        "see its results.",
    );
  }
  const source = URL.createObjectURL(found.blob);
  return {
    source,
    title: found.title || "Your picture",
    facts: [],
    size: async () => sizeOf(source),
    blob: async () => found.blob,
    release: () => URL.revokeObjectURL(source),
  };
}

async function stored(id, signal) {
  const known = await image(id, signal);
  const { width, height } = known;
  return {
    id: known.id,
    source: picture(id),
    title: nameOf(known.path),
    facts: [
      ...Object.entries(known.metadata).map(([key, value]) => [key, shown(value)]),
      ["size", `${width} × ${height}`],
      [known.table ? "key" : "path", known.path],
    ],
    size: async () => ({ width, height }),
    blob: () => file(picture(id), signal),
    release: () => {},
  };
}

/** Return the upright size of a picture, in pixels. */
export async function sizeOf(source) {
  const drawn = new Image();
  drawn.src = source;
  await drawn.decode();
  return { width: drawn.naturalWidth, height: drawn.naturalHeight };
}

/** Show the query in `section`; `actions` are { crop(text or null), unmark(id, isRight), clear() }. */
export async function show(section, query, state, actions, signal) {
  const size = await query.size().catch(() => null);
  // Its picture may be released already, and another query shown.
  signal.throwIfAborted();
  const drawn = element("img", { src: query.source, alt: `Query: ${query.title}`, draggable: "false" });
  if (size) {
    drawn.width = size.width;
    drawn.height = size.height;
  }
  // Who may not read the application's table still sees the thumbnail.
  const instead = () => (drawn.src = thumbnail(query.id));
  if (query.id) drawn.addEventListener("error", instead, { once: true });
  const frame = element("div", { class: "frame" }, drawn);
  const about = element("div", { class: "about" });
  about.append(
    element("p", { class: "kicker" }, state.crop ? "Like a part of" : "Like"),
    element("h2", {}, query.title),
    facts(query.facts),
    ...marked(state, actions),
    controls(frame, size, state, actions),
  );
  section.replaceChildren(frame, about);
  section.hidden = false;
}

/** Return the marked pictures, each a button that takes its mark away. */
function marked(state, actions) {
  const { right, wrong } = marks(state);
  const list = (title, ids, isRight) => {
    const buttons = ids.map((id) =>
      element(
        "button",
        {
          class: "marked",
          "aria-label": `${title}: take back the mark of picture ${id}`,
          onclick: () => actions.unmark(id, isRight),
        },
        element("img", { src: thumbnail(id), alt: "" }),
        icon(isRight ? ICONS.tick : ICONS.cross),
      ),
    );
    return element("p", { class: isRight ? "marks" : "marks are-wrong" }, `${title} `, ...buttons);
  };
  return [
    ...(right.length ? [list("Right", right, true)] : []),
    ...(wrong.length ? [list("Wrong", wrong, false)] : []),
  ];
}

function facts(list) {
  if (!list.length) return element("p", { class: "hint" }, "Kept in this browser. The server searches with it, and forgets it.");
  const rows = list.map(([key, value]) =>
    element("div", {}, element("dt", {}, key), element("dd", {}, value)),
  );
  // On a phone the results come first.
  const open = matchMedia("(min-width: 701px)").matches;
  return element(
    "details",
    { class: "facts", open },
    element("summary", {}, "About this picture"),
    element("dl", {}, ...rows),
  );
}

function controls(frame, size, state, actions) {
  const bar = element("p", { class: "actions" });
  if (size) {
    const box = new CropBox(frame, inParts(state.crop, size), (found) =>
      actions.crop(found && inPixels(found, size)),
    );
    bar.append(
      element(
        "button",
        { onclick: () => box.start() },
        icon(ICONS.crop),
        state.crop ? "Another part" : "Search for a part",
      ),
    );
  }
  if (state.crop) {
    bar.append(element("button", { onclick: () => actions.crop(null) }, "Whole picture"));
  }
  bar.append(element("button", { onclick: actions.clear }, icon(ICONS.cross), "Clear"));
  return bar;
}

/** Return the picture to send to the server, and the crop in its pixels. */
export async function toSend(query, crop) {
  const blob = await query.blob();
  if (!crop) return { blob, crop: null };
  // The server gives out large pictures reduced.
  const source = URL.createObjectURL(blob);
  try {
    return { blob, crop: scaled(crop, await query.size(), await sizeOf(source)) };
  } finally {
    URL.revokeObjectURL(source);
  }
}
