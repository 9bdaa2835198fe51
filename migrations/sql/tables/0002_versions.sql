-- The text that spocdb makes of a file's time and size: so unchanged files are not read again.
ALTER TABLE spocdb.images ALTER COLUMN mtime_ns TYPE text USING mtime_ns || ' ' || size;
ALTER TABLE spocdb.images RENAME COLUMN mtime_ns TO version;
-- Rows of attached tables have no version: the queue knows what changed.
UPDATE spocdb.images i SET version = '' FROM spocdb.sources s WHERE s.collection_id = i.collection_id;
COMMENT ON TABLE spocdb.images IS 'The images of every collection; one whose version stays the same is not read again';
COMMENT ON COLUMN spocdb.images.version IS 'the source''s own text: while it stays the same, so do the bytes';

-- A file that was gone had neither time nor size.
ALTER TABLE spocdb.failures ALTER COLUMN mtime_ns TYPE text
    USING CASE WHEN mtime_ns = 0 AND size = 0 THEN '' ELSE mtime_ns || ' ' || size END;
ALTER TABLE spocdb.failures RENAME COLUMN mtime_ns TO version;
ALTER TABLE spocdb.failures DROP COLUMN size;
COMMENT ON COLUMN spocdb.failures.version IS 'of the image that failed; while it stays the same, it is not tried again';
