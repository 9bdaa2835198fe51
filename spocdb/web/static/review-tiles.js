/** Groups of duplicates as rows of tiles, the kept picture first. */

import { count, element, icon, ICONS, nameOf } from "./elements.js";
import { shape } from "./layout.js";
import { membersOf } from "./review-groups.js";
import { thumbnail } from "./server.js";

/** Return how an image stands in its group, in words. */
export const standing = (image, group) => {
  if (image.id === group.keeper.id) return "kept";
  if (image.is_rejected) return "rejected";
  return image.sha256 === group.keeper.sha256 ? "same bytes" : image.distance.toFixed(3);
};

/** Return the tile of an image of a group. */
export function tile(image, group, { linkTo, seen }) {
  const name = nameOf(image.path);
  const drawn = element("img", { alt: "", decoding: "async", loading: "lazy", draggable: "false" });
  const word = standing(image, group);
  const state = { kept: "is-kept", rejected: "is-rejected" }[word] ?? "";
  const mark = { kept: ICONS.tick, rejected: ICONS.cross }[word];
  const link = element(
    "a",
    { href: linkTo(group, image), "aria-label": `${name}: ${said(word)}`, title: image.path },
    drawn,
    mark ? icon(mark) : null,
  );
  drawn.addEventListener("error", () => link.classList.add("is-broken"));
  drawn.src = thumbnail(image.id);
  seen.watch(drawn, image.id);
  const below = element("span", { class: "word", "aria-hidden": "true" }, word);
  const item = element("li", { class: `copy ${state}`, "data-id": image.id }, link, below);
  item.style.setProperty("--shape", shape(image));
  return item;
}

const said = (word) => (/^\d/.test(word) ? `distance ${word}` : word);

/** Return the line about what is left out of a group, or null. */
export function missing(group) {
  const n = group.n_others - group.others.length;
  return n ? element("li", { class: "missing" }, `and ${count(n, "more", "more")}`) : null;
}

/** The rows of all groups. */
export class Rows {
  /** `linkTo(group, image)` is an address; `rejectOthers(group)` is null where nothing is decided. */
  constructor(list, { linkTo, seen, rejectOthers }) {
    Object.assign(this, { list, linkTo, seen, rejectOthers, made: new Map() });
  }

  show(groups) {
    this.made.clear();
    this.list.replaceChildren();
    this.append(groups);
  }

  append(groups) {
    this.list.append(...groups.map((group) => this.#row(group)));
  }

  /** Draw what came where it stands among all groups; the focus stays on the picture or near it. */
  replace({ gone, came }, all) {
    const focused = Number(document.activeElement?.closest?.(".copy")?.dataset.id);
    const row = document.activeElement?.closest?.(".group");
    const place = row ? [...this.list.children].indexOf(row) : -1;
    for (const group of gone) {
      this.made.get(group)?.remove();
      this.made.delete(group);
    }
    for (const group of came) {
      const after = this.made.get(all[all.indexOf(group) - 1]);
      if (after) after.after(this.#row(group));
      else this.list.prepend(this.#row(group));
    }
    if (place >= 0 && !row.isConnected) this.#focus(focused, place);
  }

  /** Move the focus to the tile after or before the one in focus; return whether there is one. */
  focusTile(by) {
    const item = document.activeElement?.closest(".copy");
    const next = by > 0 ? item?.nextElementSibling : item?.previousElementSibling;
    next?.querySelector("a")?.focus();
    return Boolean(item);
  }

  /** Move the focus to the row after or before the one in focus, at first to the first one. */
  focusRow(by) {
    const row = document.activeElement?.closest(".group");
    const next = by > 0 ? row?.nextElementSibling : row?.previousElementSibling;
    const target = row ? next : this.list.firstElementChild;
    target?.querySelector("a").focus();
    return true;
  }

  #focus(id, place) {
    const own = this.list.querySelector(`.copy[data-id="${id}"] a`);
    const near = this.list.children[Math.min(place, this.list.children.length - 1)];
    (own ?? near?.querySelector("a") ?? this.list).focus({ preventScroll: Boolean(own) });
  }

  #row(group) {
    const { keeper, others } = group;
    const name = nameOf(keeper.path);
    // The kept picture leads to the first one beside it.
    const linkTo = (of, image) => this.linkTo(of, image === of.keeper ? of.others[0] : image);
    const tiles = membersOf(group).map((image) => tile(image, group, { linkTo, seen: this.seen }));
    const farthest = others.at(-1).distance;
    const about = `${count(group.n_others, "copy", "copies")}, ${farthest ? `up to ${farthest.toFixed(3)}` : "the same bytes"}`;
    const act = { onclick: () => this.rejectOthers(group), "aria-label": `Reject the others: ${name}` };
    const row = element(
      "li",
      { class: "group", "data-keeper": keeper.id },
      element(
        "div",
        { class: "about-group" },
        element("h2", {}, name),
        element("p", {}, about),
        this.rejectOthers ? element("button", act, "Reject the others") : null,
      ),
      element("ol", { class: "strip", "aria-label": `Group of ${name}` }, ...tiles, missing(group)),
    );
    this.made.set(group, row);
    return row;
  }
}
