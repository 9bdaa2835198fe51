/** Deciding on the page of duplicates: which buttons can do something, and what they do. */

import { count } from "./elements.js";
import { hush, tell } from "./messages.js";
import { membersOf } from "./review-groups.js";
import { Decisions } from "./review-decisions.js";

const VERDICTS = ["same", "different", "keep both"];
const ACTS = ["keep", "reject", "reject others", "undo", ...VERDICTS];

const part = (id) => document.getElementById(id);

export class Deciding {
  /**
   * `seen` is what was on screen, `pair` the group that is shown alone. `onDone(change, back)`
   * is called when something was decided; if it was undone, `back` is the picture it was about.
   */
  constructor(collection, groups, { seen, pair, onDone }) {
    Object.assign(this, { groups, seen, pair });
    this.decisions = new Decisions(collection, groups, (text, change, back) => {
      part("did").textContent = text;
      onDone(change, back);
      this.offer();
    });
    part("verdicts").addEventListener("click", ({ target }) => {
      const act = target.closest("[data-act]")?.dataset.act;
      if (act) this.act(act);
    });
    part("undo").addEventListener("click", () => this.act("undo"));
    part("reject-seen").addEventListener("click", () => this.rejectSeen(groups.list));
  }

  /** Do what a key or a button says; return whether that was anything. */
  act(name) {
    const target = this.#meant();
    if (!ACTS.includes(name) || (name !== "undo" && !target)) return false;
    this.#try(() => (name === "undo" ? this.decisions.undo() : this.#decide(name, target)));
    return true;
  }

  /** Reject, of each group whose kept picture was on screen, the others that were. */
  rejectSeen(groups) {
    this.#try(() => this.#rejectSeen(groups));
  }

  #rejectSeen(groups) {
    const choices = this.#seenOf(groups);
    return choices.length ? this.decisions.reject(choices) : null;
  }

  /** Show which buttons can do something. */
  offer() {
    const n = this.#seenOf(this.groups.list).reduce((sum, [, images]) => sum + images.length, 0);
    const copies = n ? count(n, "copy", "copies") : "copies";
    part("reject-seen").disabled = !n;
    part("reject-seen").textContent = `Reject ${copies} seen so far`;
    part("undo").disabled = !this.decisions.canUndo;
    if (this.pair.group) this.#offerPair(this.pair);
  }

  #offerPair({ group, image }) {
    const isKeeper = image.id === group.keeper.id;
    const isSameBytes = image.sha256 === group.keeper.sha256;
    const cannot = {
      keep: isKeeper ? image.is_kept : isSameBytes,
      reject: isKeeper,
      "reject others": !this.#seenOf([group]).length,
    };
    for (const button of part("verdicts").children) {
      button.disabled = cannot[button.dataset.act] ?? isSameBytes;
    }
    const [reject] = part("verdicts").querySelectorAll('[data-act="reject"] span');
    reject.textContent = image.is_rejected ? "Reject no longer" : "Reject";
  }

  #seenOf(groups) {
    const isOpen = (image) => this.seen.has(image) && !image.is_rejected;
    return groups
      .filter(({ keeper }) => this.seen.has(keeper))
      .map((group) => [group, group.others.filter(isOpen)])
      .filter(([, images]) => images.length);
  }

  /** Return the group and the picture that are meant: those shown alone, or those in focus. */
  #meant() {
    if (this.pair.group) return this.pair;
    const id = Number(document.activeElement?.closest(".copy")?.dataset.id);
    const group = this.groups.of(id);
    return group ? { group, image: membersOf(group).find((image) => image.id === id) } : null;
  }

  #decide(name, { group, image }) {
    if (name === "keep") return this.decisions.keep(group, image);
    if (name === "reject others") return this.#rejectSeen([group]);
    if (image.id === group.keeper.id) {
      return tell({ message: "This picture is kept. To reject it, keep another one of the group first." });
    }
    if (name !== "reject") return this.decisions.decide(group, image, name);
    if (image.is_rejected) return this.decisions.unreject(group, image);
    return this.decisions.reject([[group, [image]]]);
  }

  /** Do one thing at a time: a second key would be meant for a picture that is not shown yet. */
  async #try(action) {
    if (this.isBusy) return;
    this.isBusy = true;
    hush();
    try {
      await action();
    } catch (error) {
      tell(error);
    } finally {
      this.isBusy = false;
    }
  }
}
