// Print the products that look like one: node similar.mjs ID [MOST_EXPENSIVE]
import pg from "pg";

const [id, price = "20"] = process.argv.slice(2);

// The function: always as many as there are, itself left out.
const SIMILAR = `
  SELECT p.id, p.name, s.distance
  FROM spocdb.similar_rows('products', $1::bigint, 5) AS s
  JOIN products AS p ON p.id = s.key::bigint
  ORDER BY s.distance`;

// The view, joined with whatever the application has.
const SIMILAR_AND_CHEAP = `
  SELECT p.id, p.name, p.price
  FROM spocdb.products AS v
  JOIN products AS p ON p.id = v.id
  WHERE p.id <> $1 AND p.price <= $2
  ORDER BY v.embedding <#> (SELECT embedding FROM spocdb.products WHERE id = $1)
  LIMIT 5`;

// The environment (PGHOST, PGDATABASE, ...) says where.
const client = new pg.Client();
await client.connect();
try {
  console.log(`like ${id}:`);
  for (const row of (await client.query(SIMILAR, [id])).rows) {
    console.log(`${row.id}\t${row.name}\t${row.distance.toFixed(3)}`);
  }

  await client.query("BEGIN");
  // Products that the WHERE turns away are made up for, until there are five.
  await client.query("SELECT spocdb.iterative_scan()");
  console.log(`like ${id}, for ${price} at most:`);
  for (const row of (await client.query(SIMILAR_AND_CHEAP, [id, price])).rows) {
    console.log(`${row.id}\t${row.name}\t${row.price}`);
  }
  await client.query("COMMIT");
} finally {
  await client.end();
}
