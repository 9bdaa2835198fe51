-- Written only by whoever has locked the row of the search, so that nobody waits for a key.
CREATE TABLE spocdb.duplicate_ungrouped (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    sha256        bytea NOT NULL,
    place         bigint,
    PRIMARY KEY (collection_id, projection_id, sha256),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.duplicate_searches (collection_id, projection_id) ON DELETE CASCADE
);
CREATE INDEX duplicate_ungrouped_place ON spocdb.duplicate_ungrouped (collection_id, projection_id, place);
COMMENT ON TABLE spocdb.duplicate_ungrouped IS 'Contents, by sha256, that were compared and have to be grouped';
COMMENT ON COLUMN spocdb.duplicate_ungrouped.place IS 'the place in the order of the keeper rule; NULL until those that were noted before are grouped';

-- As before, and the keeper is in its own group: while groups change, it may have joined another one already.
CREATE OR REPLACE VIEW spocdb.duplicate_present AS
SELECT m.* FROM spocdb.duplicate_members m
JOIN spocdb.images i ON i.id = m.image_id AND i.sha256 = m.sha256
JOIN spocdb.images k ON k.id = m.keeper_id
JOIN spocdb.duplicate_members s ON s.collection_id = m.collection_id AND s.projection_id = m.projection_id
    AND s.image_id = m.keeper_id AND s.keeper_id = m.keeper_id AND s.sha256 = k.sha256
WHERE EXISTS (
    SELECT FROM spocdb.duplicate_members o JOIN spocdb.images j ON j.id = o.image_id AND j.sha256 = o.sha256
    WHERE o.collection_id = m.collection_id AND o.projection_id = m.projection_id
      AND o.keeper_id = m.keeper_id AND o.image_id <> o.keeper_id);
