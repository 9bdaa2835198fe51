-- Thresholds are lost, `spocdb duplicates calibrate` measures them again. A search for a level becomes one for
-- its distance. Signatures are lost; they can be made again from the thumbnails.
DROP FUNCTION IF EXISTS spocdb.duplicate_groups(text, bigint, integer);
DROP FUNCTION IF EXISTS spocdb.near_duplicates(text, bigint);

CREATE OR REPLACE VIEW spocdb.duplicate_edges AS
WITH bare AS NOT MATERIALIZED (
    SELECT p.collection_id, p.projection_id, p.a AS one, p.b AS other, p.distance FROM spocdb.duplicate_pairs p
    UNION ALL
    SELECT p.collection_id, p.projection_id, p.b, p.a, p.distance FROM spocdb.duplicate_pairs p
)
SELECT e.* FROM bare e
WHERE NOT EXISTS (SELECT FROM spocdb.duplicate_decisions d
                  WHERE d.a = least(e.one, e.other) AND d.b = greatest(e.one, e.other) AND d.verdict <> 'same')
UNION ALL
SELECT s.collection_id, s.projection_id, d.a, d.b, 0
FROM spocdb.duplicate_decisions d, spocdb.duplicate_searches s
WHERE d.verdict = 'same'
  AND EXISTS (SELECT FROM spocdb.images i WHERE i.collection_id = s.collection_id AND i.sha256 = d.b)
UNION ALL
SELECT s.collection_id, s.projection_id, d.b, d.a, 0
FROM spocdb.duplicate_decisions d, spocdb.duplicate_searches s
WHERE d.verdict = 'same'
  AND EXISTS (SELECT FROM spocdb.images i WHERE i.collection_id = s.collection_id AND i.sha256 = d.a);

ALTER TABLE spocdb.duplicate_searches DROP COLUMN bits, DROP COLUMN near, DROP COLUMN level;
DROP TABLE spocdb.duplicate_thresholds;
ALTER TABLE spocdb.thumbnails DROP COLUMN signature_version, DROP COLUMN signature;
