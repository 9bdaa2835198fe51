/**
 * Conditions on the metadata as texts, in spocdb's grammar for filters.
 *
 * The page reads back only what it writes: KEY in [...], KEY>=VALUE, KEY<=VALUE and KEY~"..." with
 * JSON values. Any other condition, typed into the address by hand, is kept as it is.
 */

const WRITTEN = /^("(?:[^"\\]|\\.)*"|[^\s"=!<>~.]+)( in |>=|<=|~)(.+)$/s;
const PLAIN_KEY = /^[^\s"=!<>~.]+$/;

export function write({ key, operator, value }) {
  const name = PLAIN_KEY.test(key) ? key : JSON.stringify(key);
  const between = operator === "in" ? " in " : operator;
  return name + between + JSON.stringify(value);
}

/** Return { key, operator, value }; null if the page did not write the text. */
export function read(text) {
  const parts = WRITTEN.exec(text);
  if (!parts) return null;
  try {
    const key = parts[1].startsWith('"') ? JSON.parse(parts[1]) : parts[1];
    const operator = parts[2].trim();
    const value = JSON.parse(parts[3]);
    return (operator === "in") === Array.isArray(value) ? { key, operator, value } : null;
  } catch {
    return null;
  }
}

/** Return the conditions about a key. */
export const about = (filters, key) =>
  filters.map(read).filter((condition) => condition?.key === key);

/** Return the filters with other conditions about a key; those in its place are dropped. */
export const replace = (filters, key, conditions) => [
  ...filters.filter((text) => read(text)?.key !== key),
  ...conditions.map(write),
];

/** Return a regular expression that finds a text as it is, whatever its case. */
export const containing = (text) => `(?i)${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`;

/** Return the text that `containing` was made of. */
export const contained = (pattern) =>
  pattern.replace(/^\(\?i\)/, "").replace(/\\([.*+?^${}()|[\]\\])/g, "$1");

/** Return how a value is shown. */
export function shown(value) {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
