/** The duplicates of a collection: looked at a group at a time or many at once, and decided. */

import * as address from "./review-address.js";
import { count } from "./elements.js";
import { hush, say, tell } from "./messages.js";
import { Deciding } from "./review-deciding.js";
import { Groups } from "./review-groups.js";
import { listen } from "./review-keys.js";
import { Pair } from "./review-pair.js";
import { Seen } from "./review-seen.js";
import { Rows } from "./review-tiles.js";
import { collectionOf } from "./server.js";

const part = (id) => document.getElementById(id);
const main = document.querySelector("main");
const collection = collectionOf(main.dataset.collection);
const farthest = Number(main.dataset.distance) || null;
const groups = new Groups(collection);
const seen = new Seen(() => deciding?.offer());
const pair = new Pair({ linkTo, seen, onError: tell, onView: (view) => go({ ...state, view }, true) });
const deciding = main.dataset.review
  ? new Deciding(collection, groups, { seen, pair, onDone: decided })
  : null;
const rejectOthers = deciding ? (group) => deciding.rejectSeen([group]) : null;
const rows = new Rows(part("groups"), { linkTo, seen, rejectOthers });
let state = address.read(location);
let running = new AbortController();
// Where the list was left.
const left = { scroll: 0, keeper: null };
// The distance up to which groups are loaded; null: all, undefined: none are.
let loaded;
let loading = null;

function linkTo(group, image) {
  return address.write(at(group, image.id));
}

/** Go to another state, as a new entry of the browser's history or in place of the present one. */
function go(next, isReplacing = false) {
  history[isReplacing ? "replaceState" : "pushState"](null, "", address.write(next));
  return render();
}

/** Show what the address says. */
async function render() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  if (!pair.group) left.scroll = scrollY;
  state = address.read(location);
  hush();
  showNearness();
  try {
    const group = state.group ? await find(state.group, signal) : null;
    if (!group) await load(null, signal);
    if (group) return showGroup(group);
    showAll();
    if (state.group) leave();
  } catch (error) {
    if (!signal.aborted) tell(error, { label: "Try again", action: render });
  }
}

/** Load the groups from the first one or from that of a keeper on, unless they are there. */
async function load(from, signal) {
  if (loaded === state.distance && (groups.isWhole || from)) return;
  loaded = undefined;
  await groups.load(state.distance, from, signal);
  loaded = state.distance;
  rows.show(groups.list);
  told();
  offerMore();
}

/** Return the group of an image, loaded if need be; null if it has none up to this distance. */
async function find(id, signal) {
  if (loaded !== state.distance) await load(null, signal);
  if (groups.of(id)) return groups.of(id);
  const asked = { of: [id], distance: state.distance, members: 2 };
  const [found] = await collection.reviewGroups(asked, signal);
  if (found) {
    loaded = undefined;
    await load(found.keeper.id, signal);
    return groups.of(found.keeper.id);
  }
  return null;
}

/** The address names a picture without duplicates: all groups are shown. */
function leave() {
  state = at(null);
  history.replaceState(null, "", address.write(state));
  tell({ message: "This picture is in no group. It may be near to pictures in a group of another one." });
}

function showAll() {
  const isBack = Boolean(pair.group);
  pair.hide();
  part("all").hidden = false;
  if (!isBack) return;
  scrollTo(0, left.scroll);
  part("groups").querySelector(`[data-keeper="${left.keeper}"] a`)?.focus();
}

function showGroup(group) {
  if (!pair.group) scrollTo(0, 0);
  part("all").hidden = true;
  pair.show(group, state.with, state.view);
  pair.place = groups.list.indexOf(group);
  left.keeper = group.keeper.id;
  part("previous").disabled = !groups.beside(group, -1);
  part("next").disabled = !groups.beside(group, 1) && groups.next === null;
  part("back").href = address.write({ ...state, group: null, with: null });
  deciding?.offer();
}

function showNearness() {
  if (!farthest) return;
  part("nearness").textContent = (state.distance ?? farthest).toFixed(3);
  part("distance").value = state.distance ?? farthest;
}

function told() {
  const { n_groups: n, n_images: images, n_rejected: rejected } = groups.counts;
  const text = n ? `${count(n, "group")} of ${count(images, "picture")}` : "No duplicates";
  say(rejected ? `${text}, ${count(rejected, "rejected", "rejected")}` : text);
}

/** Something was decided or undone: show the groups as they are now. */
function decided({ gone, came }, back) {
  const { group, place } = pair;
  rows.replace({ gone, came }, groups.list);
  told();
  if (!group || !(back || gone.includes(group))) return;
  const own = came.find(({ keeper }) => keeper.id === group.keeper.id) ?? came[0];
  if (own && (back || own.others.some((image) => !image.is_rejected))) {
    const id = back ?? stillOpen(own);
    go(at(own, id === own.keeper.id ? null : id), true);
  } else {
    next(own, place);
  }
}

/** A pair of pictures was decided about elsewhere on the page. */
async function decidedElsewhere({ detail: ids }) {
  if (loaded === undefined) return;
  try {
    decided(await groups.refresh(ids), null);
    deciding?.offer();
  } catch (error) {
    tell(error, { label: "Try again", action: render });
  }
}

function at(group, id = null) {
  return { ...state, group: group?.keeper.id ?? null, with: id };
}

/** Return the picture to go on with: the present one, or if it is rejected by now the next one. */
function stillOpen({ others }) {
  const place = others.findIndex(({ id }) => id === pair.image.id);
  if (place < 0 || !others[place].is_rejected) return pair.image.id;
  const open = [...others.slice(place), ...others].find((image) => !image.is_rejected);
  return (open ?? others[place]).id;
}

/** Go on after a group that is done; one that is gone has left its place to the next one. */
async function next(own, place) {
  if (own) {
    // The last one of all stays.
    if (!(await step(1, own))) go(at(own), true);
  } else {
    await loadMore();
    go(at(groups.list[place] ?? groups.list.at(-1)), true);
  }
}

/** Go to the group after or before one; return whether there is one. */
async function step(by, from = pair.group) {
  if (by > 0 && !groups.beside(from, by)) await loadMore();
  const target = groups.beside(from, by);
  if (target) go(at(target));
  return Boolean(target);
}

/** Load the groups that follow; the list and the last group of it ask for them. */
function loadMore() {
  if (loaded === undefined || groups.next === null) return null;
  loading ??= append().finally(() => (loading = null));
  return loading;
}

async function append() {
  try {
    rows.append(await groups.more(running.signal));
  } catch (error) {
    tell(error, { label: "Try again", action: loadMore });
  }
  offerMore();
}

/** Observe the end of the list again: it is told only when the end comes into sight. */
function offerMore() {
  part("end").textContent = groups.next === null ? "" : "Loading";
  end.unobserve(part("end"));
  end.observe(part("end"));
}

const end = new IntersectionObserver(
  ([{ isIntersecting }]) => isIntersecting && !pair.group && loadMore(),
  { rootMargin: "100%" },
);

const LOOKING = {
  "previous picture": () => moveTo(-1),
  "next picture": () => moveTo(1),
  "previous group": () => (pair.group ? (step(-1), true) : rows.focusRow(-1)),
  "next group": () => (pair.group ? (step(1), true) : rows.focusRow(1)),
  blink: () => pair.group && (pair.blink(), true),
  "next view": () => pair.group && (pair.nextView(), true),
  "all groups": () => pair.group && (go(at(null)), true),
};

function moveTo(by) {
  if (!pair.group) return rows.focusTile(by);
  const image = pair.beside(by);
  if (image) go(at(pair.group, image.id), true);
  return true;
}

/** Follow a link to a group without loading the page again; new tabs and windows are left alone. */
function follow(event) {
  const link = event.target.closest(".copy a, #back");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const isStep = pair.group && link.id !== "back";
  go(address.read(new URL(link.href)), isStep);
}

/** The slider was moved: only what is near enough is a group. */
function narrow({ target }) {
  const value = Number(target.value);
  // The steps of the slider may not meet its end.
  const isAll = value > farthest - target.step / 2;
  go({ ...state, distance: isAll ? null : Number(value.toPrecision(4)) }, true);
}

function start() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", render);
  main.addEventListener("click", follow);
  main.addEventListener("decided", decidedElsewhere);
  part("distance")?.addEventListener("input", narrow);
  part("previous").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  listen((name) => (LOOKING[name] ?? (() => deciding?.act(name)))());
  render();
}

start();
