/** The page: shows what its address says, and turns what the user does into an address. */

import * as address from "./address.js";
import { count, element } from "./elements.js";
import { Beside, markAlone } from "./beside.js";
import { Facets } from "./facets.js";
import { Grid } from "./grid.js";
import { jumps } from "./jumps.js";
import { hush, say, tell } from "./messages.js";
import * as pictures from "./pictures.js";
import * as queries from "./query.js";
import { collectionOf, Problem } from "./server.js";
import { CAPTION, tile } from "./tiles.js";
import { watchCoverage } from "./coverage.js";
import { acceptPictures } from "./bringing.js";
import { Statement } from "./statement.js";

const PAGE = 200;
const MOST_RESULTS = 1000;
// Lists that are kept for the back button.
const MOST_KEPT = 6;

const part = (id) => document.getElementById(id);
const collection = collectionOf(document.querySelector("main").dataset.collection);
const kept = new Map();
let state = address.read(location);
let here = location.href;
let running = new AbortController();
let query = null;

const makeTile = (item, index, existing) =>
  tile(item, {
    existing,
    linkTo: (id) => address.write(address.likeThis(state, id)),
    mark: { isRight: state.likes, isWrong: state.unlikes, set: mark },
  });
const grid = new Grid(part("grid"), { makeTile, onEnd: loadMore });
const other = new Beside(makeTile, (beside) => go({ ...state, beside }, { scroll: scrollY }));
const facets = new Facets(part("facets"), collection, (filters) => go({ ...state, filters }));
const statement = new Statement(collection, async () => {
  if (!address.isSearch(state)) return { filter: state.filters, k: grid.items.length || 1 };
  return asked(running.signal);
});

/** Go to another state; its address is added to the browser's history. */
function go(next, back = null) {
  const target = address.write(next);
  if (new URL(target, location).href === location.href) return;
  history.pushState(null, "", target);
  render(back);
}

/** Mark a result as right or wrong, or take the mark away; the window stays where it is. */
function mark(id, isRight) {
  const focused = grid.list.contains(document.activeElement) ? grid.focused : -1;
  go(address.marked(state, String(id), isRight), { scroll: scrollY, focused });
}

/** Show what the address says; `back` is what `remember` kept of it. */
async function render(back = null) {
  remember();
  running.abort();
  running = new AbortController();
  const { signal } = running;
  here = location.href;
  state = address.read(location);
  document.body.classList.toggle("is-searching", address.isSearch(state));
  hush();
  part("grid").setAttribute("aria-busy", "true");
  facets.show(state.filters, signal).catch((error) => unlessEnded(signal, () => tell(error)));
  try {
    await showQuery(signal);
    await showPictures(signal, back);
  } catch (error) {
    unlessEnded(signal, () => fail(error));
  } finally {
    unlessEnded(signal, () => part("grid").removeAttribute("aria-busy"));
  }
}

async function showQuery(signal) {
  query?.release();
  query = null;
  const loaded = address.isSearch(state) ? await queries.load(state, signal) : null;
  // Another state may be shown already.
  if (signal.aborted) loaded?.release();
  signal.throwIfAborted();
  query = loaded;
  document.title = [query?.title, document.querySelector("main").dataset.collection, "spocdb"]
    .filter(Boolean)
    .join(" · ");
  if (!query) {
    part("query").hidden = true;
    part("query").replaceChildren();
    return;
  }
  const actions = {
    crop: (crop) => go({ ...state, crop, k: address.FIRST_RESULTS }),
    unmark: (id, isRight) => mark(id, isRight),
    clear: () => go({ ...address.read({ search: "" }), filters: state.filters }),
  };
  await queries.show(part("query"), query, state, actions, signal);
}

async function showPictures(signal, back) {
  const list = back?.items ? back : await (query ? results(signal) : newest(signal));
  const pair = query && state.beside ? await beside(signal) : null;
  signal.throwIfAborted();
  other.offer(Boolean(query), state.beside);
  if (pair) other.show(state.beside, pair.hits.map(record), list.items);
  display(pair ? { ...list, items: markAlone(list.items, pair.hits), breaks: new Map() } : list);
  if (pair?.problem) tell(pair.problem);
  scrollTo(0, back?.scroll ?? 0);
  grid.render();
  if (back?.focused >= 0) grid.focus(back.focused);
}

function display(list, tiles) {
  grid.show(list.items, { ...list, tiles });
  grid.next = list.next;
  say(list.text);
  list.notes?.forEach((text) => tell({ message: text }));
  const hasMore = query && list.items.length === state.k && state.k < MOST_RESULTS;
  part("more").replaceChildren(...(hasMore ? [moreButton()] : []));
}

async function newest(signal) {
  return asList(await collection.images({ filter: state.filters, limit: PAGE }, signal));
}

const asList = ({ images, next, n_images: total, notes }) => ({
  items: images.map(record),
  next,
  total,
  isEnded: next === null,
  notes,
  text: count(total, "picture"),
});

// The metadata of 100,000 images would fill the tab.
const record = ({ id, path, width, height, distance }) => ({ id, path, width, height, distance });

async function loadMore() {
  if (grid.isLoading) return;
  const { signal } = running;
  grid.isLoading = true;
  try {
    const asked = { filter: state.filters, limit: PAGE, before: grid.next };
    const { images, next } = await collection.images(asked, signal);
    signal.throwIfAborted();
    grid.next = next;
    grid.isLoading = false;
    grid.append(images.map(record), next === null);
  } catch (error) {
    unlessEnded(signal, () => tell(error, { label: "Try again", action: loadAgain }));
  } finally {
    grid.isLoading = false;
  }
}

function loadAgain() {
  hush();
  loadMore();
}

/** Return the parameters of the search that is shown, and the picture if one must be sent. */
async function asked(signal) {
  const values = { k: state.k, filter: state.filters };
  values.unlike = state.unlikes;
  if (!state.picture && !state.crop) return { ...values, id: state.likes };
  // Without a picture of its own, the first one is what was cropped.
  values.like = state.picture ? state.likes : state.likes.slice(1);
  if (!query) throw new Problem("There is no picture to search with.");
  const { blob, crop } = await queries.toSend(query, state.crop);
  signal.throwIfAborted();
  return { ...values, crop, body: blob };
}

/** Return the answer to the search that is shown, by the active or another projection. */
async function found(signal, projection = null) {
  const { body, ...values } = await asked(signal);
  return body
    ? collection.search(body, { ...values, projection }, signal)
    : collection.similar({ ...values, projection }, signal);
}

/** Return what the other projection finds; without it, the results of the active one still show. */
async function beside(signal) {
  try {
    return await found(signal, state.beside);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { hits: [], problem: error };
  }
}

async function results(signal) {
  say("Searching");
  const { hits, notes } = await found(signal);
  return {
    items: hits.map(record),
    isEnded: true,
    caption: CAPTION,
    breaks: jumps(hits.map((hit) => hit.distance)),
    notes,
    text: hits.length ? `${count(hits.length, "picture")}, nearest first` : "Nothing found",
  };
}

function moreButton() {
  const k = Math.min(state.k * 2, MOST_RESULTS);
  return element("button", { onclick: () => grow(k) }, "More results");
}

/** Show more results of the same search, without moving the window. */
async function grow(k) {
  history.replaceState(history.state, "", address.write({ ...state, k }));
  await render({ scroll: scrollY });
}

/** Keep what is shown, and where the window is, for the way back. */
function remember() {
  if (!grid.items.length) return;
  const { items, next, isEnded, total, breaks, caption } = grid;
  const text = part("status").textContent;
  const focused = grid.list.contains(document.activeElement) ? grid.focused : -1;
  kept.delete(here);
  kept.set(here, { items, next, isEnded, total, breaks, caption, text, scroll: scrollY, focused });
  for (const old of [...kept.keys()].slice(0, -MOST_KEPT)) kept.delete(old);
}

async function bring(file) {
  try {
    const name = await pictures.keep(file);
    // The picture that the address names, which this browser did not have: nothing else changes.
    if (name === state.picture) return render();
    const { filters, beside } = state;
    go({ ...address.read({ search: "" }), filters, beside, picture: name });
  } catch (error) {
    tell(error);
  }
}

function fail(error) {
  grid.clear();
  other.offer(false, null);
  part("more").replaceChildren();
  part("query").hidden = !query;
  if (error instanceof queries.PictureElsewhere) {
    say("");
    tell(error, { label: "Choose the picture", action: () => part("pick").click() });
  } else {
    say("Nothing to show");
    tell(error, { label: "Try again", action: () => render() });
  }
}

function unlessEnded(signal, action) {
  if (!signal.aborted) action();
}

function start() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => render(kept.get(location.href)));
  part("lists").addEventListener("click", follow);
  acceptPictures(bring);
  watchCoverage(collection, part("coverage"));
  part("show-sql").addEventListener("click", () => statement.show());
  const first = JSON.parse(part("first").textContent);
  if (!first) return render();
  // The server has drawn the first pictures already.
  const tiles = new Map([...grid.list.children].map((made) => [made.dataset.id, made]));
  display(asList(first), tiles);
  facets.show(state.filters, running.signal).catch(tell);
}

/** Follow a tile's link without loading the page again; new tabs and windows are left alone. */
function follow(event) {
  const link = event.target.closest("a");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(address.read(new URL(link.href)));
}

start();
