-- The products that look like one: psql -v id=1 -v price=20 -f similar.sql

\if :{?id} \else \set id 1 \endif
\if :{?price} \else \set price 20 \endif

\echo like :id:
-- The function: always as many as there are, itself left out.
SELECT p.id, p.name, round(s.distance::numeric, 3) AS distance
FROM spocdb.similar_rows('products', :id, 5) AS s
JOIN products AS p ON p.id = s.key::bigint
ORDER BY s.distance;

\echo like :id, for :price at most:
-- The view, joined with whatever the application has. Products that the WHERE turns away are made
-- up for, until there are five.
BEGIN;
SELECT spocdb.iterative_scan();
SELECT p.id, p.name, p.price
FROM spocdb.products AS v
JOIN products AS p ON p.id = v.id
WHERE p.id <> :id AND p.price <= :price
ORDER BY v.embedding <#> (SELECT embedding FROM spocdb.products WHERE id = :id)
LIMIT 5;
COMMIT;
