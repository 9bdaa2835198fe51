/**
 * What the page of duplicates shows is in its address.
 *
 * distance  only pictures up to this distance from the kept one; without it, all that were found
 * group     a picture of the group that is shown alone
 * with      the picture of it that is compared with the kept one
 * view      blink or difference; without it, side by side
 */

import { VIEWS } from "./review-stage.js";

const idOf = (text) => (/^[1-9]\d{0,15}$/.test(text ?? "") ? Number(text) : null);

export function read(location) {
  const asked = new URLSearchParams(location.search);
  const distance = Number.parseFloat(asked.get("distance"));
  const view = asked.get("view");
  return {
    distance: distance >= 0 && distance <= 2 ? distance : null,
    group: idOf(asked.get("group")),
    with: idOf(asked.get("with")),
    view: VIEWS.includes(view) ? view : VIEWS[0],
  };
}

export function write(state) {
  const asked = new URLSearchParams();
  if (state.distance !== null) asked.set("distance", state.distance);
  if (state.group) asked.set("group", state.group);
  if (state.group && state.with) asked.set("with", state.with);
  if (state.view !== VIEWS[0]) asked.set("view", state.view);
  return asked.size ? `?${asked}` : location.pathname;
}
