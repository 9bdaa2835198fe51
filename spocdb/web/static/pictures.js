/**
 * Pictures to search with, kept in this browser, because an address cannot hold one.
 *
 * IndexedDB also works where a page comes over plain HTTP from another machine; Cache Storage and
 * crypto.subtle do not.
 */

const MOST_KEPT = 30;
// Private windows may refuse a database; then a picture lasts as long as the tab.
const inThisTab = new Map();

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("spocdb", 1);
    request.onupgradeneeded = () =>
      request.result.createObjectStore("pictures", { keyPath: "name" }).createIndex("used", "used");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function pictures(mode) {
  const database = await opened();
  return database.transaction("pictures", mode).objectStore("pictures");
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Return 16 digits of the picture's sha256; random ones where browsers refuse to hash. */
async function nameOf(data) {
  if (!crypto.subtle) return hex(crypto.getRandomValues(new Uint8Array(8)));
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", data))).slice(0, 16);
}

/** Keep a picture; return its name. The ones used longest ago are dropped. */
export async function keep(file) {
  const data = await file.arrayBuffer();
  const name = await nameOf(data);
  const picture = { name, title: file.name ?? "", data, type: file.type, used: Date.now() };
  inThisTab.set(name, picture);
  await store(picture).catch(() => {});
  return name;
}

async function store(picture) {
  const kept = await pictures("readwrite");
  await done(kept.put(picture));
  const names = await done(kept.index("used").getAllKeys());
  for (const old of names.slice(0, -MOST_KEPT)) await done(kept.delete(old));
}

/** Return a kept picture as { blob, title }, or null. */
export async function find(name) {
  const found = inThisTab.get(name) ?? (await stored(name).catch(() => null));
  return found ? { blob: new Blob([found.data], { type: found.type }), title: found.title } : null;
}

const stored = async (name) => done((await pictures("readonly")).get(name));
