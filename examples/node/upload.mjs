// A shop's own route: POST /similar?price=20 with a picture as the body answers with the products that look like it.
import { createServer } from "node:http";
import { Readable } from "node:stream";
import pg from "pg";

// `spocdb serve` computes the embedding of the picture; everything else is SQL.
const SERVICE = process.env.SPOCDB_SERVICE ?? "http://127.0.0.1:8117";
const TOKEN = process.env.SPOCDB_TOKEN;

const SIMILAR = `
  SELECT p.id, p.name, p.price, 1 + (v.embedding <#> $1) AS distance
  FROM spocdb.products AS v
  JOIN products AS p ON p.id = v.id
  WHERE p.published AND p.price <= $2
  ORDER BY v.embedding <#> $1
  LIMIT 5`;

// The environment (PGHOST, PGDATABASE, ...) says where.
const pool = new pg.Pool();

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Return the picture's embedding as pgvector reads it; the bytes are passed on as they come. */
async function embedding(picture) {
  const headers = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};
  const options = { method: "POST", headers, body: Readable.toWeb(picture), duplex: "half" };
  const response = await fetch(`${SERVICE}/api/v1/collections/products/embed`, options);
  const answer = await response.json();
  // Not a picture, or too large: the client's fault. Anything else is not.
  if (!response.ok) throw new Refused(response.status < 500 ? response.status : 502, answer.detail);
  return JSON.stringify(answer.embedding);
}

async function similar(picture, price) {
  const query = await embedding(picture);
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    // Products that the WHERE turns away are made up for, until there are five.
    await client.query("SELECT spocdb.iterative_scan()");
    const { rows } = await client.query(SIMILAR, [query, price]);
    await client.query("COMMIT");
    client.release();
    return rows;
  } catch (error) {
    // Its transaction is open: the connection is closed instead of used again.
    client.release(true);
    throw error;
  }
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const answer = (status, value) =>
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
  if (request.method !== "POST" || pathname !== "/similar") return answer(404, { error: "POST /similar" });
  try {
    const price = Number(searchParams.get("price") ?? 20);
    answer(200, { products: await similar(request, price) });
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    answer(error.status ?? 500, { error: error.status ? error.message : "try again later" });
  }
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
