-- What has to be grouped is compared again.
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT collection_id, projection_id, sha256 FROM spocdb.duplicate_ungrouped;
DROP TABLE spocdb.duplicate_ungrouped;
CREATE OR REPLACE VIEW spocdb.duplicate_present AS
SELECT m.* FROM spocdb.duplicate_members m
JOIN spocdb.images i ON i.id = m.image_id AND i.sha256 = m.sha256
JOIN spocdb.images k ON k.id = m.keeper_id
WHERE EXISTS (
    SELECT FROM spocdb.duplicate_members o JOIN spocdb.images j ON j.id = o.image_id AND j.sha256 = o.sha256
    WHERE o.collection_id = m.collection_id AND o.projection_id = m.projection_id
      AND o.keeper_id = m.keeper_id AND o.image_id <> o.keeper_id);
