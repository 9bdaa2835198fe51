/** What is decided about duplicates, and the way back. */

import { count, nameOf } from "./elements.js";
import { membersOf } from "./review-groups.js";
import { Problem } from "./server.js";

// Groups of a request, of which each may reject many pictures.
const AT_ONCE = 100;

const idsOf = (images) => images.map((image) => image.id);

export class Decisions {
  /**
   * `onDone(text, change, back)` is called when something was decided; if it was undone, `back` is
   * the picture that it was about.
   */
  constructor(collection, groups, onDone) {
    Object.assign(this, { collection, groups, onDone, done: [] });
  }

  get canUndo() {
    return this.done.length > 0;
  }

  /**
   * Make an image come first in its group; what was rejected stays so, beside it. Rejections are by
   * content: a file of the kept bytes is left out, or the picture that was kept would be rejected.
   */
  async keep(group, image) {
    if (image !== group.keeper && image.sha256 === group.keeper.sha256) {
      throw new Problem("It has the same bytes as the kept picture: of such files the rule chooses one.");
    }
    const kept = [image.sha256, group.keeper.sha256];
    const others = group.others.filter((one) => one.is_rejected && !kept.includes(one.sha256));
    const before = async () => {
      // Without rejections all that was chosen of the image is forgotten.
      if (others.length || !image.is_kept) {
        const rejected = image.is_kept ? idsOf(others) : [];
        await this.collection.keep([{ id: image.id, rejected }], true);
      }
      if (image.is_kept) await this.collection.keep([{ id: group.keeper.id }], false);
    };
    const about = { text: `Kept ${nameOf(image.path)}`, ids: idsOf(membersOf(group)), image, before };
    await this.#make(about, () =>
      this.collection.keep([{ id: image.id, rejected: idsOf(others) }], false),
    );
  }

  /** Reject images beside the keepers of their groups: a list of [group, images]. */
  async reject(choices) {
    const kept = choices.map(([group, images]) => ({ id: group.keeper.id, rejected: idsOf(images) }));
    // What was never chosen before is forgotten as a whole.
    const forgotten = choices.map(([group, images]) => ({
      id: group.keeper.id,
      rejected: group.keeper.is_kept ? idsOf(images) : [],
    }));
    const n = choices.reduce((sum, [, images]) => sum + images.length, 0);
    const [[, [first]]] = choices;
    const text = n === 1 ? `Rejected ${nameOf(first.path)}` : `Rejected ${count(n, "picture")}`;
    const inParts = async (all, undo) => {
      for (let at = 0; at < all.length; at += AT_ONCE) {
        await this.collection.keep(all.slice(at, at + AT_ONCE), undo);
      }
    };
    const before = () => inParts(forgotten, true);
    const about = { text, ids: kept.map(({ id }) => id), image: first, before };
    await this.#make(about, () => inParts(kept, false));
  }

  /** Reject an image no longer; other files of its bytes neither. */
  async unreject(group, image) {
    const kept = [{ id: group.keeper.id, rejected: [image.id] }];
    const text = `No longer rejected: ${nameOf(image.path)}`;
    const before = () => this.collection.keep(kept, false);
    const about = { text, ids: [group.keeper.id], image, before };
    await this.#make(about, () => this.collection.keep(kept, true));
  }

  /** Decide how an image and the keeper of its group belong together. */
  async decide(group, image, verdict) {
    const pair = [group.keeper.id, image.id];
    const before = () => this.collection.decide(...pair, image.is_same ? "same" : null);
    const text = `${nameOf(image.path)}: ${verdict}`;
    const about = { text, ids: idsOf(membersOf(group)), image, before };
    await this.#make(about, () => this.collection.decide(...pair, verdict));
  }

  /** Take the last decision back. */
  async undo() {
    const last = this.done.at(-1);
    if (!last) return;
    await last.before();
    this.done.pop();
    this.onDone(`Undone: ${last.text}`, await this.groups.refresh(last.ids), last.image.id);
  }

  /** Do what `about` tells: its text, the images whose groups it changes, and how to undo it. */
  async #make(about, action) {
    await action();
    this.done.push(about);
    this.onDone(about.text, await this.groups.refresh(about.ids), null);
  }
}
