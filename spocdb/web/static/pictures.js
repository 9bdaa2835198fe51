/**
 * Pictures to search with, kept in this browser, because an address cannot hold one: the latest few.
 *
 * IndexedDB also works where a page comes over plain HTTP from another machine; Cache Storage and
 * crypto.subtle do not.
 */

const MOST_KEPT = 20;
// Private windows may refuse a database; then a picture lasts as long as the tab. Oldest first.
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

/** Return what `action(pictures)` returns for the pictures in the browser's database. */
async function within(mode, action) {
  const database = await opened();
  try {
    return await action(database.transaction("pictures", mode).objectStore("pictures"));
  } finally {
    database.close();
  }
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
  const picture = { name: await nameOf(data), title: file.name ?? "", data, type: file.type };
  await stored(picture);
  return picture.name;
}

/** Return a kept picture as { blob, title }, or null. */
export async function find(name) {
  const kept = await within("readonly", (pictures) => done(pictures.get(name))).catch(() => null);
  const found = kept ?? inThisTab.get(name);
  if (!found) return null;
  // It has been used again, and outlasts those that were not.
  await stored(found);
  return { blob: new Blob([found.data], { type: found.type }), title: found.title };
}

/** Store a picture as the one used last. */
async function stored(picture) {
  try {
    await within("readwrite", (pictures) => put(pictures, picture));
    inThisTab.delete(picture.name);
  } catch {
    inThisTab.delete(picture.name);
    inThisTab.set(picture.name, picture);
    for (const old of [...inThisTab.keys()].slice(0, -MOST_KEPT)) inThisTab.delete(old);
  }
}

async function put(pictures, picture) {
  await done(pictures.put({ ...picture, used: Date.now() }));
  const names = await done(pictures.index("used").getAllKeys());
  for (const old of names.slice(0, -MOST_KEPT)) await done(pictures.delete(old));
}
