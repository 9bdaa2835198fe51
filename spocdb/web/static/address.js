/**
 * What the page shows is in its address: so it can be shared, and the browser's history works.
 *
 * filter   a condition on the metadata; several must all hold
 * like     the id of a stored picture to search with; several are combined
 * unlike   the id of a picture that looks wrong
 * picture  the name of a picture that this browser keeps; see pictures.js
 * crop     X,Y,WIDTH,HEIGHT: the part to search with, in pixels of the upright picture
 * beside   another projection, whose results are shown beside those of the active one
 * k        how many results
 */

export const FIRST_RESULTS = 60;

export function read(location) {
  const asked = new URLSearchParams(location.search);
  return {
    filters: asked.getAll("filter"),
    likes: asked.getAll("like"),
    unlikes: asked.getAll("unlike"),
    picture: asked.get("picture"),
    crop: asked.get("crop"),
    beside: asked.get("beside"),
    k: Number(asked.get("k")) || FIRST_RESULTS,
  };
}

export function write(state) {
  const asked = new URLSearchParams();
  state.filters.forEach((text) => asked.append("filter", text));
  if (state.picture) asked.append("picture", state.picture);
  state.likes.forEach((id) => asked.append("like", id));
  state.unlikes.forEach((id) => asked.append("unlike", id));
  if (state.crop) asked.append("crop", state.crop);
  if (state.beside) asked.append("beside", state.beside);
  if (state.k !== FIRST_RESULTS) asked.append("k", state.k);
  // A comma needs no escape here, and people read addresses.
  const text = asked.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : location.pathname;
}

export const isSearch = (state) => Boolean(state.picture || state.likes.length);

/** Return a state in which a picture is marked as right or wrong, or no more. */
export function marked(state, id, isRight) {
  const [own, other] = isRight ? ["likes", "unlikes"] : ["unlikes", "likes"];
  const without = (list) => list.filter((one) => one !== id);
  const isMarked = state[own].includes(id);
  return {
    ...state,
    [own]: isMarked ? without(state[own]) : [...state[own], id],
    [other]: without(state[other]),
  };
}

/** Return the marks alone: without a picture of its own, the first one is what is searched with. */
export const marks = (state) => ({
  right: state.picture ? state.likes : state.likes.slice(1),
  wrong: state.unlikes,
});

/** Return a state that searches with stored pictures, within the same filters. */
export const likeThis = (state, id) => ({
  ...read({ search: "" }),
  filters: state.filters,
  beside: state.beside,
  likes: [String(id)],
});
