/** The HTTP API of the server that this page comes from. */

export const API = "/api/v1";

/** An answer that is a problem detail (RFC 9457), or no answer at all. */
export class Problem extends Error {}

async function asked(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. Is `spocdb serve` still running?");
  }
  if (response.status === 401) {
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  if (!response.ok) throw new Problem(await reason(response));
  return response;
}

// A server with too many connections, or a proxy, answers with no problem detail.
async function reason(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.includes("json")) return (await response.json()).detail;
  return `The server answers ${response.status}. Try again in a moment.`;
}

const answer = async (path, options) => (await asked(API + path, options)).json();

/** Return what is at an address as a file. */
export const file = async (address, signal) => (await asked(address, { signal })).blob();

const parameters = (values) => {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined) asked.append(name, one);
  }
  return asked.size ? `?${asked}` : "";
};

export const thumbnail = (id) => `${API}/images/${encodeURIComponent(id)}/thumbnail`;
export const picture = (id) => `${API}/images/${encodeURIComponent(id)}/picture`;

// As spocdb.web.addresses writes it, and says why.
export const segment = (name) =>
  encodeURIComponent(name.replace(/[/.~]/g, (one) => `~${one.charCodeAt().toString(16).toUpperCase()}`));

/** Return functions that ask about one collection; `signal` ends a request. */
export function collectionOf(name) {
  const base = `/collections/${segment(name)}`;
  const get = (path, values, signal) => answer(base + path + parameters(values), { signal });
  const post = (path, body, values, signal) =>
    answer(base + path + parameters(values), { method: "POST", body, signal });
  const send = (path, values) =>
    asked(API + base + path, {
      method: "POST",
      body: JSON.stringify(values),
      headers: { "Content-Type": "application/json" },
    });
  return {
    images: (values, signal) => get("/images", values, signal),
    facets: (values, signal) => get("/facets", values, signal),
    coverage: (signal) => get("/coverage", {}, signal),
    change: () => get("/change", {}),
    activate: (number) => post(`/projections/${encodeURIComponent(number)}/activate`, null, {}),
    rollback: (to) => post("/rollback", null, { to }),
    similar: (values, signal) => get("/similar", values, signal),
    search: (body, values, signal) => post("/search", body, values, signal),
    sql: (values, signal) => get("/sql", values, signal),
    sqlOf: (body, values, signal) => post("/sql", body, values, signal),
    review: (values, signal) => get("/review", values, signal),
    reviewCount: (values, signal) => get("/review/count", values, signal),
    reviewGroups: (values, signal) => get("/review/groups", values, signal),
    keep: (kept, undo) => send("/review/keep", { kept, undo }),
    finding: () => get("/duplicates/find", {}),
    find: async (values) => (await send("/duplicates/find", values)).json(),
    calibration: () => get("/duplicates/calibrate", {}),
    calibrate: async (values) => (await send("/duplicates/calibrate", values)).json(),
    decide: (id, other, verdict) => send("/duplicates/decide", { id, other, verdict }),
    mapPoints: async (values) =>
      (await asked(`${API}${base}/map/points${parameters(values)}`)).arrayBuffer(),
  };
}

export const image = (id, signal) => answer(`/images/${encodeURIComponent(id)}`, { signal });
