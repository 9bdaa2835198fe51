/**
 * Filters: a chip for each key of the metadata, which opens its values or its range.
 *
 * What is counted for a key are the images that match the conditions about the other keys, so that
 * a second value of the same key can be added.
 */

import * as conditions from "./conditions.js";
import { count, element, icon, ICONS } from "./elements.js";

export class Facets {
  /** `onChange(filters)` is called with the conditions that the user chose. */
  constructor(bar, collection, onChange) {
    Object.assign(this, { bar, collection, onChange, facets: [] });
  }

  /** Count again for some filters, and draw the chips. */
  async show(filters, signal) {
    this.filters = filters;
    const [all, others] = await Promise.all([this.#count(filters, signal), this.#kept(signal)]);
    this.hint = leftOut(all);
    this.facets = all.facets
      .filter((facet) => !others.has(facet.key))
      .concat([...others.values()])
      .filter(isUseful(filters))
      .sort((a, b) => a.key.localeCompare(b.key));
    this.#draw();
  }

  /** Return the facets of keys that have a condition, by key, counted without that condition. */
  async #kept(signal) {
    const keys = new Set(this.filters.map((text) => conditions.read(text)?.key));
    keys.delete(undefined);
    const found = await Promise.all(
      [...keys].map(async (key) => {
        const others = conditions.replace(this.filters, key, []);
        const { facets } = await this.#count(others, signal);
        return facets.find((facet) => facet.key === key);
      }),
    );
    return new Map(found.filter(Boolean).map((facet) => [facet.key, facet]));
  }

  #count(filters, signal) {
    return this.collection.facets({ filter: filters }, signal);
  }

  #draw() {
    const { activeElement } = document;
    const hadFocus = this.bar.contains(activeElement) ? activeElement.dataset.is : null;
    const open = this.bar.querySelector(":popover-open")?.parentElement.dataset.key;
    const chips = this.facets.map((facet, at) => this.#chip(facet, at));
    const drawn = new Set(this.facets.map((facet) => facet.key));
    const unread = this.filters.filter((text) => !drawn.has(conditions.read(text)?.key));
    const others = unread.map((text) => this.#removable(text));
    const clear =
      this.filters.length > 0
        ? element("button", { class: "quiet", "data-is": "clear", onclick: () => this.onChange([]) }, "Clear filters")
        : null;
    const hint = this.hint && element("p", { class: "hint" }, this.hint);
    this.bar.replaceChildren(...[...chips, ...others, clear, hint].filter(Boolean));
    // A panel stays open while its values are chosen one after another.
    const again = [...this.bar.children].find(({ dataset }) => open && dataset.key === open);
    again?.querySelector("[popover]").showPopover();
    if (hadFocus) this.#named(hadFocus)?.focus({ preventScroll: true });
  }

  #named(name) {
    const all = [...this.bar.querySelectorAll("[data-is]")];
    return all.find(({ dataset }) => dataset.is === name) ?? this.bar.querySelector("button");
  }

  #chip(facet, at) {
    const chosen = conditions.about(this.filters, facet.key);
    const id = `facet-${at}`;
    const button = element(
      "button",
      { class: "chip", "data-is": `chip ${facet.key}`, "aria-expanded": "false" },
      element("span", { class: "key" }, facet.key),
      chosen.length ? element("span", { class: "chosen" }, summary(chosen)) : null,
      icon(ICONS.down),
    );
    button.classList.toggle("is-set", chosen.length > 0);
    const panel = element("div", { id, class: "sheet", popover: "auto", role: "dialog", "aria-label": `Filter by ${facet.key}` });
    button.popoverTargetElement = panel;
    panel.addEventListener("beforetoggle", (event) => {
      const isOpening = event.newState === "open";
      button.setAttribute("aria-expanded", String(isOpening));
      if (!isOpening) return;
      panel.replaceChildren(...this.#form(facet, chosen));
      below(panel, button);
    });
    return element("div", { class: "facet", "data-key": facet.key }, button, panel);
  }

  #removable(text) {
    const others = this.filters.filter((other) => other !== text);
    return element(
      "button",
      { class: "chip is-set", "aria-label": `Remove the filter ${text}`, onclick: () => this.onChange(others) },
      element("span", { class: "chosen" }, text),
      icon(ICONS.cross),
    );
  }

  #form(facet, chosen) {
    const set = (list) => this.onChange(conditions.replace(this.filters, facet.key, list));
    const title = element("h2", {}, facet.key);
    return facet.kind === "values"
      ? [title, ...values(facet, chosen, set)]
      : [title, range(facet, chosen, set)];
  }
}

/** Return what the server left out of its facets, as a text; empty if nothing. */
function leftOut({ facets, n_keys: n, n_counted: counted, is_partial: isPartial }) {
  const keys = n > facets.length ? `and ${count(n - facets.length, "more key")}` : "";
  const images = isPartial ? `counted over the newest ${count(counted, "picture")}` : "";
  return [keys, images].filter(Boolean).join("; ");
}

/** Tell whether a facet can narrow what is shown. */
const isUseful = (filters) => (facet) =>
  facet.kind !== "values" ||
  facet.values.length > 1 ||
  conditions.about(filters, facet.key).length > 0;

function values(facet, chosen, set) {
  const picked = new Map(
    chosen.flatMap(({ operator, value }) => (operator === "in" ? value : [])).map((v) => [JSON.stringify(v), v]),
  );
  const listed = new Map(facet.values.map(({ value, n_images: n }) => [JSON.stringify(value), [value, n]]));
  picked.forEach((value, text) => listed.has(text) || listed.set(text, [value, 0]));
  const most = Math.max(...[...listed.values()].map(([, n]) => n), 1);
  const boxes = [...listed].map(([text, [value, n]]) => {
    const toggle = (event) => {
      if (event.target.checked) picked.set(text, value);
      else picked.delete(text);
      set(picked.size ? [{ key: facet.key, operator: "in", value: [...picked.values()] }] : []);
    };
    const box = element("input", {
      type: "checkbox",
      checked: picked.has(text),
      "data-is": `${facet.key} ${text}`,
      onchange: toggle,
    });
    const row = element(
      "label",
      { class: "value" },
      box,
      element("span", { class: "text" }, conditions.shown(value)),
      element("span", { class: "count" }, String(n)),
    );
    row.style.setProperty("--part", n / most);
    return row;
  });
  const all = [element("div", { class: "values" }, ...boxes)];
  if (facet.n_values > facet.values.length) all.push(textSearch(facet, chosen, set));
  return all;
}

/** Return a form for the values that are too many to list. */
function textSearch(facet, chosen, set) {
  const now = chosen.find(({ operator }) => operator === "~");
  const input = element("input", {
    type: "search",
    name: "contains",
    value: now ? conditions.contained(now.value) : "",
    autocomplete: "off",
  });
  const send = (event) => {
    event.preventDefault();
    const text = input.value.trim();
    set(text ? [{ key: facet.key, operator: "~", value: conditions.containing(text) }] : []);
  };
  return element(
    "form",
    { class: "fields", onsubmit: send },
    element("label", {}, `Contains, of ${count(facet.n_values, "value")}`, input),
    element("button", { class: "primary" }, "Apply"),
  );
}

function range(facet, chosen, set) {
  const isDate = facet.kind === "date";
  const bound = (operator) => chosen.find((condition) => condition.operator === operator)?.value ?? "";
  const field = (label, operator, limit) => {
    const shown = isDate ? String(limit).slice(0, 10) : limit;
    const input = element("input", {
      type: isDate ? "date" : "number",
      step: isDate ? null : "any",
      value: bound(operator),
      placeholder: isDate ? null : shown,
    });
    return { input, operator, label: element("label", {}, label, input) };
  };
  const fields = [field("From", ">=", facet.least), field("To", "<=", facet.greatest)];
  const send = (event) => {
    event.preventDefault();
    set(
      fields
        .filter(({ input }) => input.value !== "")
        .map(({ input, operator }) => ({
          key: facet.key,
          operator,
          value: isDate ? input.value : input.valueAsNumber,
        })),
    );
  };
  const span = isDate
    ? [facet.least, facet.greatest].map((text) => String(text).slice(0, 10))
    : [facet.least, facet.greatest];
  return element(
    "form",
    { class: "fields", onsubmit: send },
    element("p", { class: "hint" }, `${span[0]} to ${span[1]}`),
    element("div", { class: "pair" }, ...fields.map(({ label }) => label)),
    element("button", { class: "primary" }, "Apply"),
  );
}

function summary(chosen) {
  return chosen
    .map(({ operator, value }) => {
      if (operator === "in") return value.map(conditions.shown).join(", ");
      if (operator === "~") return `“${conditions.contained(value)}”`;
      return `${operator === ">=" ? "≥" : "≤"} ${value}`;
    })
    .join(" · ");
}

/** Place an open panel below its button, within the window. */
function below(panel, button) {
  const { left, bottom } = button.getBoundingClientRect();
  panel.style.setProperty("--left", `${Math.max(12, Math.min(left, innerWidth - 332))}px`);
  panel.style.setProperty("--top", `${bottom + 6}px`);
}
