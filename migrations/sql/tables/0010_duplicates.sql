-- Groups go with the embeddings that they were found by; decisions stay.
CREATE TABLE spocdb.duplicate_searches (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    distance      double precision CHECK (distance BETWEEN 0 AND 2),
    keep          text NOT NULL,
    PRIMARY KEY (collection_id, projection_id),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.embedding_tables (collection_id, projection_id) ON DELETE CASCADE
);
COMMENT ON TABLE spocdb.duplicate_searches IS 'That near-duplicates of a collection are found by a projection, and kept up to date';
COMMENT ON COLUMN spocdb.duplicate_searches.distance IS 'contents up to this cosine distance from each other are a pair; NULL: only images of the same bytes are duplicates';
COMMENT ON COLUMN spocdb.duplicate_searches.keep IS 'the keeper rule: which image of a group comes first';

-- No key but the id, and no foreign key: a transaction that notes a change never waits for another one.
CREATE TABLE spocdb.duplicate_changes (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    sha256        bytea NOT NULL
);
CREATE INDEX duplicate_changes_due ON spocdb.duplicate_changes (collection_id, projection_id, id);
COMMENT ON TABLE spocdb.duplicate_changes IS 'Contents that are new, changed or gone, and have to be compared';

CREATE TABLE spocdb.duplicate_pairs (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    a             bytea NOT NULL,
    b             bytea NOT NULL CHECK (a < b),
    distance      double precision NOT NULL,
    PRIMARY KEY (collection_id, projection_id, a, b),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.duplicate_searches (collection_id, projection_id) ON DELETE CASCADE
);
CREATE INDEX duplicate_pairs_b ON spocdb.duplicate_pairs (collection_id, projection_id, b);
COMMENT ON TABLE spocdb.duplicate_pairs IS 'Two contents, by sha256, whose embeddings are within the distance of the search';

-- No foreign key to images: deleting them would wait here for whoever groups them. Rows of images that are gone
-- are not shown, and go with the next batch of changes.
CREATE TABLE spocdb.duplicate_members (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    image_id      bigint NOT NULL,
    keeper_id     bigint NOT NULL,
    sha256        bytea NOT NULL,
    distance      double precision NOT NULL,
    PRIMARY KEY (collection_id, projection_id, image_id),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.duplicate_searches (collection_id, projection_id) ON DELETE CASCADE
);
CREATE INDEX duplicate_members_keeper ON spocdb.duplicate_members (collection_id, projection_id, keeper_id);
CREATE INDEX duplicate_members_sha256 ON spocdb.duplicate_members (collection_id, projection_id, sha256);
COMMENT ON TABLE spocdb.duplicate_members IS 'The images of each group, the keeper among them; images without duplicates have no row';
COMMENT ON COLUMN spocdb.duplicate_members.distance IS 'cosine distance from the keeper; 0 for the same bytes, and for what was decided to be the same';

-- By content: a decision survives a moved file, another ingest and another projection.
CREATE TABLE spocdb.duplicate_decisions (
    a          bytea NOT NULL CHECK (octet_length(a) = 32),
    b          bytea NOT NULL CHECK (octet_length(b) = 32 AND a < b),
    verdict    text NOT NULL CHECK (verdict IN ('same', 'different', 'keep both')),
    decided_at timestamptz NOT NULL DEFAULT now(),
    decided_by text NOT NULL DEFAULT current_user,
    PRIMARY KEY (a, b)
);
CREATE INDEX duplicate_decisions_b ON spocdb.duplicate_decisions (b);
COMMENT ON TABLE spocdb.duplicate_decisions IS 'What a person decided about two contents, by sha256, in all collections';
COMMENT ON COLUMN spocdb.duplicate_decisions.verdict IS 'same: a pair at any distance; different, keep both: no pair';

-- In both directions, so that one index look-up finds all pairs of a content.
CREATE VIEW spocdb.duplicate_edges AS
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
COMMENT ON VIEW spocdb.duplicate_edges IS 'Pairs of contents as decisions leave them, in both directions; 0 for those decided to be the same';

-- Images may have gone since they were grouped: a group is a keeper and at least one other that are there.
CREATE VIEW spocdb.duplicate_present AS
SELECT m.* FROM spocdb.duplicate_members m
JOIN spocdb.images i ON i.id = m.image_id AND i.sha256 = m.sha256
JOIN spocdb.images k ON k.id = m.keeper_id
WHERE EXISTS (
    SELECT FROM spocdb.duplicate_members o JOIN spocdb.images j ON j.id = o.image_id AND j.sha256 = o.sha256
    WHERE o.collection_id = m.collection_id AND o.projection_id = m.projection_id
      AND o.keeper_id = m.keeper_id AND o.image_id <> o.keeper_id);
COMMENT ON VIEW spocdb.duplicate_present IS 'The members of groups whose images are there and have the bytes that were compared';
