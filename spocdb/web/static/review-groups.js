/** The groups of duplicates that are loaded, by the ids of their keepers, and how many there are. */

const PAGE = 24;
// Of each group; the others are counted, and nothing is decided about them.
const MEMBERS = 60;
// The server takes so many ids in an address.
const MOST_ASKED = 200;

export const membersOf = (group) => [group.keeper, ...group.others];

export class Groups {
  constructor(collection) {
    Object.assign(this, { collection, list: [], next: null, counts: null, distance: null });
  }

  /** Load the first groups up to a distance, or those from the group of a keeper on. */
  async load(distance, from, signal) {
    const asked = { distance, members: MEMBERS };
    const [page, counts] = await Promise.all([
      this.collection.review({ ...asked, limit: PAGE, after: from ? from - 1 : 0 }, signal),
      this.collection.reviewCount({ distance }, signal),
    ]);
    signal.throwIfAborted();
    Object.assign(this, { distance, counts, list: page.groups, next: page.next });
    this.isWhole = !from;
  }

  /** Load the next page; return its groups that are not there yet. */
  async more(signal) {
    if (this.next === null) return [];
    const { distance, next: after } = this;
    const asked = { distance, members: MEMBERS, limit: PAGE, after };
    const page = await this.collection.review(asked, signal);
    signal.throwIfAborted();
    // Meanwhile a choice may have made another picture the keeper of a group that is loaded.
    const fresh = page.groups.filter((group) => !this.of(group.keeper.id));
    this.list.push(...fresh);
    this.next = page.next;
    return fresh;
  }

  /** Return the group that an image is in, if it is loaded. */
  of(id) {
    return this.list.find((group) => membersOf(group).some((image) => image.id === id));
  }

  /** Return the group after or before another one. */
  beside(group, step) {
    return this.list[this.list.indexOf(group) + step];
  }

  /** Load the groups of images again; return what went, and what came in its place. */
  async refresh(ids) {
    const fresh = new Map();
    for (let at = 0; at < ids.length; at += MOST_ASKED) {
      const asked = { of: ids.slice(at, at + MOST_ASKED), distance: this.distance, members: MEMBERS };
      for (const group of await this.collection.reviewGroups(asked)) fresh.set(group.keeper.id, group);
    }
    const known = new Set([...ids, ...fresh.keys()]);
    const gone = this.list.filter((group) => membersOf(group).some(({ id }) => known.has(id)));
    const came = [...fresh.values()];
    await this.#recount(gone, came);
    return this.#replace(gone, came);
  }

  #replace(gone, came) {
    const places = new Map(gone.map((group) => [group.keeper.id, this.list.indexOf(group)]));
    // A group stays where it was, or where its members were.
    const placeOf = (group) => {
      const ids = new Set(membersOf(group).map(({ id }) => id));
      const old = gone.find((one) => membersOf(one).some(({ id }) => ids.has(id)));
      if (old) return places.get(old.keeper.id);
      const later = this.list.findIndex((one) => one.keeper.id > group.keeper.id);
      return (later < 0 ? this.list.length : later) - 0.5;
    };
    const kept = this.list.map((group, place) => ({ group, place }));
    const placed = came.map((group) => ({ group, place: placeOf(group) }));
    this.list = [...kept.filter(({ group }) => !gone.includes(group)), ...placed]
      .sort((a, b) => a.place - b.place)
      .map(({ group }) => group);
    return { gone, came };
  }

  /** Count again. All groups are counted only if some have other members now, which takes longer. */
  async #recount(gone, came) {
    const shape = (groups) => String(groups.map((group) => [group.keeper.id, group.n_others]).sort());
    if (shape(gone) !== shape(came)) {
      this.counts = await this.collection.reviewCount({ distance: this.distance });
      return;
    }
    const n = (groups) => groups.flatMap(({ others }) => others).filter((one) => one.is_rejected).length;
    this.counts.n_rejected += n(came) - n(gone);
  }
}
