ALTER TABLE spocdb.thumbnails ADD COLUMN signature bigint, ADD COLUMN signature_version smallint;
COMMENT ON COLUMN spocdb.thumbnails.signature IS '64 bits that copies of a picture share (a perceptual hash); NULL with a version: the picture has no structure';
COMMENT ON COLUMN spocdb.thumbnails.signature_version IS 'how the signature was computed; only signatures of one version are compared';

-- A threshold belongs to the embeddings that it was measured on, and goes with them.
CREATE TABLE spocdb.duplicate_thresholds (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    picture       double precision NOT NULL,
    scene         double precision NOT NULL,
    bits          smallint,
    settings      jsonb NOT NULL,
    calibrated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, projection_id),
    CHECK (picture BETWEEN 0 AND scene),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.embedding_tables (collection_id, projection_id) ON DELETE CASCADE
);
COMMENT ON TABLE spocdb.duplicate_thresholds IS 'How near near-duplicates of a collection are by a projection, as `spocdb duplicates calibrate` measured it';
COMMENT ON COLUMN spocdb.duplicate_thresholds.picture IS 'up to this cosine distance two contents show the same picture';
COMMENT ON COLUMN spocdb.duplicate_thresholds.scene IS 'up to this one they may show the same scene, and the same picture if their signatures agree';
COMMENT ON COLUMN spocdb.duplicate_thresholds.bits IS 'signatures agree if they differ in at most so many bits; NULL: they never count';
COMMENT ON COLUMN spocdb.duplicate_thresholds.settings IS 'how the thresholds were measured, and what was found';

ALTER TABLE spocdb.duplicate_searches
    ADD COLUMN level text CHECK (level IN ('bytes', 'picture', 'scene')),
    ADD COLUMN near double precision,
    ADD COLUMN bits smallint;
COMMENT ON COLUMN spocdb.duplicate_searches.level IS 'which level of duplicates was asked for; NULL: a distance';
COMMENT ON COLUMN spocdb.duplicate_searches.near IS 'pairs farther than this are near-duplicates only if their signatures agree; NULL: all pairs are';
COMMENT ON COLUMN spocdb.duplicate_searches.bits IS 'signatures agree if they differ in at most so many bits';

-- As in revision 0010, without pairs that are too far for the level that was asked for.
CREATE OR REPLACE VIEW spocdb.duplicate_edges AS
WITH near AS NOT MATERIALIZED (
    SELECT p.* FROM spocdb.duplicate_pairs p
    WHERE EXISTS (
        SELECT FROM spocdb.duplicate_searches s
        WHERE s.collection_id = p.collection_id AND s.projection_id = p.projection_id
          AND (s.near IS NULL OR p.distance <= s.near OR EXISTS (
              SELECT FROM spocdb.thumbnails x JOIN spocdb.thumbnails y USING (signature_version)
              WHERE x.sha256 = p.a AND y.sha256 = p.b
                AND bit_count((x.signature # y.signature)::bit(64)) <= s.bits)))
), bare AS NOT MATERIALIZED (
    SELECT p.collection_id, p.projection_id, p.a AS one, p.b AS other, p.distance FROM near p
    UNION ALL
    SELECT p.collection_id, p.projection_id, p.b, p.a, p.distance FROM near p
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

-- They return each image's level, too.
DROP FUNCTION IF EXISTS spocdb.duplicate_groups(text, bigint, integer);
DROP FUNCTION IF EXISTS spocdb.near_duplicates(text, bigint);
