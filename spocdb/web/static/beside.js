/** The same query by another projection of the collection, beside what the active one finds. */

import { count } from "./elements.js";
import { Grid } from "./grid.js";
import { CAPTION } from "./tiles.js";

const part = (id) => document.getElementById(id);

export class Beside {
  /** `onChange(projection)` is called with the chosen one, null for none. */
  constructor(makeTile, onChange) {
    this.grid = new Grid(part("other-grid"), { makeTile, onEnd: () => {} });
    part("beside")?.addEventListener("change", ({ target }) => onChange(target.value || null));
  }

  /** Offer the other projections, if there are any, and show or hide the second list. */
  offer(isSearch, projection) {
    if (part("compare")) {
      part("compare").hidden = !isSearch;
      part("beside").value = projection ?? "";
    }
    const isPair = Boolean(isSearch && projection);
    part("lists").classList.toggle("is-pair", isPair);
    part("other").hidden = !isPair;
    if (!isPair) this.grid.clear();
  }

  /** Show what `projection` finds; each list marks what the other does not have. */
  show(projection, items, others) {
    part("other-name").textContent = projection;
    const known = new Set(others.map((item) => item.id));
    const entered = items.filter((item) => !known.has(item.id)).length;
    const left = others.length - (items.length - entered);
    part("changes").textContent = `: ${count(entered, "entered", "entered")}, ${left} left`;
    this.grid.show(markAlone(items, others), { isEnded: true, caption: CAPTION });
  }
}

/** Return items that know whether another list lacks them. */
export function markAlone(items, others) {
  const known = new Set(others.map((item) => item.id));
  return items.map((item) => ({ ...item, isAlone: !known.has(item.id) }));
}
