/** The map of a collection: all its pictures in two dimensions, similar ones near each other. */

import { Card, list } from "./map-card.js";
import { Dots } from "./map-dots.js";
import { FACTOR, Gestures } from "./map-gestures.js";
import { decode } from "./map-points.js";
import { Thumbs } from "./map-thumbs.js";
import { View } from "./map-view.js";
import { count } from "./elements.js";
import { collectionOf, Problem, segment } from "./server.js";

// After a change: until pictures load, and until the address follows.
const SETTLED = 180;
const GLIDE = 160;
// How far a click may miss a point, for a mouse and a finger.
const REACH = 8;
const FINGER = 20;
const IN_LIST = 24;
const RING = 14;
// Pixels of the canvas, however dense the screen is.
const MOST_PIXELS = 10e6;

const say = (text) => (part("status").textContent = text);
const part = (id) => document.getElementById(id);
const { collection, projection } = document.querySelector("main").dataset;
const canvas = part("map");
const target = canvas.getContext("2d");
const isStill = matchMedia("(prefers-reduced-motion: reduce)");
const isDark = matchMedia("(prefers-color-scheme: dark)");
const linkTo = (id) => `/collections/${segment(collection)}?like=${id}`;
const dots = new Dots();
const card = new Card(part("card"), linkTo);
let points, view, thumbs, settling, gliding;
let isDrawing = false;
let marked = -1;

function draw() {
  isDrawing = false;
  const ratio = canvas.width / view.width;
  const { accent, paper, ink } = colours();
  dots.draw(target, points, view, ratio, { colour: rgb(accent), deep: rgb(ink) });
  target.setTransform(ratio, 0, 0, ratio, 0, 0);
  thumbs.draw(target, view, paper);
  if (marked >= 0) ring();
}

/** Put a ring around the marked point or its thumbnail; it is an element, so nothing is drawn. */
function ring() {
  const { x, y } = view.toScreen(points.xs[marked], points.ys[marked]);
  const dot = { x: x - RING / 2, y: y - RING / 2, width: RING, height: RING };
  const around = thumbs.boxOf(view, marked) ?? dot;
  for (const [name, value] of Object.entries(around)) {
    part("ring").style.setProperty(`--${name}`, `${value}px`);
  }
  part("ring").classList.toggle("is-dot", around === dot);
}

function colours() {
  const style = getComputedStyle(canvas);
  return {
    accent: style.getPropertyValue("--accent").trim(),
    paper: style.getPropertyValue("--raised").trim(),
    ink: style.getPropertyValue("--ink").trim(),
  };
}

/** Return the red, green and blue of a colour in any notation. */
function rgb(colour) {
  target.fillStyle = colour;
  return [1, 3, 5].map((at) => parseInt(target.fillStyle.slice(at, at + 2), 16));
}

function redraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(draw);
}

/** The view was changed: draw it now, and when it stays, load what it shows. */
function moved() {
  mark(-1);
  redraw();
  clearTimeout(settling);
  settling = setTimeout(settle, SETTLED);
}

function settle() {
  thumbs.choose(view);
  thumbs.load(view);
  let n = 0;
  points.within(view.box(), () => n++);
  say(view.isAll ? "" : `${count(n, "picture")} in view`);
  history.replaceState(null, "", address());
  if (canvas.matches(":focus-visible")) markMiddle();
  if (part("near").open) showNear();
}

/** Return the address of what is shown: the middle in the map's numbers, and the zoom. */
function address() {
  const asked = new URLSearchParams(location.search);
  asked.delete("at");
  asked.delete("zoom");
  if (!view.isAll) {
    const short = (value) => Number(value.toPrecision(7));
    asked.set("at", `${short(view.x)},${short(view.y)}`);
    asked.set("zoom", short(view.zoom));
  }
  const text = asked.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : location.pathname;
}

function read() {
  const asked = new URLSearchParams(location.search);
  const [x, y] = (asked.get("at") ?? "").split(",").map((text) => (text ? Number(text) : NaN));
  return { x, y, zoom: Number(asked.get("zoom") ?? NaN) };
}

/** Change the view in steps, unless the system asks for no motion. */
function glide(change) {
  cancelAnimationFrame(gliding);
  const from = { x: view.x, y: view.y, zoom: view.zoom };
  change(view);
  if (isStill.matches) return moved();
  const to = { x: view.x, y: view.y, zoom: view.zoom };
  const began = performance.now();
  const step = (now) => {
    const part = Math.min(1, Math.max(0, (now - began) / GLIDE));
    const eased = part * (2 - part);
    const between = (a, b) => a + (b - a) * eased;
    view.goTo({
      x: between(from.x, to.x),
      y: between(from.y, to.y),
      zoom: from.zoom * (to.zoom / from.zoom) ** eased,
    });
    if (part < 1) gliding = requestAnimationFrame(step);
    else view.goTo(to);
    moved();
  };
  step(began);
}

/** Return the index of what is drawn at a pixel, or -1. */
function at({ x, y }, reach) {
  const onPicture = thumbs.at(view, x, y);
  if (onPicture >= 0) return onPicture;
  const [nearest = -1] = points.nearest(view.around(x, y, reach), 1);
  return nearest;
}

/** Mark a point and show its card; as a link for a finger, which clicks no point below it. */
function mark(index, pixel, isTouch = false) {
  if (index === marked) return;
  part("card").classList.toggle("is-link", isTouch);
  marked = index;
  canvas.classList.toggle("is-over", index >= 0);
  part("ring").hidden = index < 0;
  if (index < 0) return card.hide();
  card.show(index, points.id(index), pixel);
  ring();
}

/** Return the indices of the `k` points in the window nearest to its middle, or the next ones. */
function nearMiddle(k) {
  const [x, y] = [view.width / 2, view.height / 2];
  for (let times = 1; ; times *= 4) {
    const found = points.nearest(view.around(x, y, times * x, times * y), k);
    if (found.length || times > 1e6) return found;
  }
}

/** For the keyboard: mark the picture nearest to the middle. */
function markMiddle() {
  const [nearest] = nearMiddle(1);
  mark(nearest, view.toScreen(points.xs[nearest], points.ys[nearest]));
}

function showNear() {
  const ids = nearMiddle(IN_LIST).map((index) => points.id(index));
  list(part("near").querySelector("ol"), ids, linkTo);
}

/** A mouse opens what it clicks; a finger first sees the card, which is a link. */
function click(pixel, event) {
  const isTouch = event.pointerType === "touch";
  const index = at(pixel, isTouch ? FINGER : REACH);
  if (isTouch) {
    mark(-1);
    mark(index, pixel, true);
  } else if (index >= 0) {
    const isAside = event.ctrlKey || event.metaKey;
    if (isAside) open(linkTo(points.id(index)), "_blank", "noopener");
    else location.assign(linkTo(points.id(index)));
  }
}

function resize() {
  const { clientWidth, clientHeight } = canvas;
  const most = Math.sqrt(MOST_PIXELS / Math.max(1, clientWidth * clientHeight));
  const ratio = Math.min(devicePixelRatio, most);
  canvas.width = Math.max(1, Math.round(clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(clientHeight * ratio));
  view.resize(Math.max(1, clientWidth), Math.max(1, clientHeight));
  moved();
}

function listen() {
  new ResizeObserver(resize).observe(canvas);
  const over = (pixel) => mark(pixel ? at(pixel, REACH) : -1, pixel);
  const enter = () => location.assign(linkTo(points.id(nearMiddle(1)[0])));
  new Gestures(canvas, view, { moved, glide, over, click, enter });
  part("zoom-in").addEventListener("click", () => glide((shown) => shown.zoomAt(FACTOR)));
  part("zoom-out").addEventListener("click", () => glide((shown) => shown.zoomAt(1 / FACTOR)));
  part("zoom-all").addEventListener("click", () => glide((shown) => shown.showAll()));
  part("near").addEventListener("toggle", () => part("near").open && showNear());
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && markMiddle());
  // The card is tapped, too.
  canvas.addEventListener("blur", (event) => event.relatedTarget !== part("card") && mark(-1));
  isDark.addEventListener("change", redraw);
}

async function start() {
  try {
    points = decode(await collectionOf(collection).mapPoints({ projection }));
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    return say(error.message);
  }
  if (!points.n) return say("All pictures of this map are gone.");
  say("");
  view = new View(points.bounds, (box) => !points.nearest(box, 1).length);
  thumbs = new Thumbs(points, redraw);
  view.goTo(read());
  listen();
}

start();
