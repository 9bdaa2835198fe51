-- A version that is not a file's time and size becomes zero: that image is read again.
-- bigint holds times of the years 1677 to 2262.
ALTER TABLE spocdb.images ALTER COLUMN version TYPE bigint
    USING CASE WHEN version ~ '^-?[0-9]{1,19} [0-9]{1,18}$' THEN mod(split_part(version, ' ', 1)::numeric, 9223372036854775808) ELSE 0 END;
ALTER TABLE spocdb.images RENAME COLUMN version TO mtime_ns;
COMMENT ON TABLE spocdb.images IS 'The images of every collection; an unchanged file keeps its size and mtime_ns and is not read again';
COMMENT ON COLUMN spocdb.images.mtime_ns IS NULL;

ALTER TABLE spocdb.failures ADD COLUMN size bigint;
UPDATE spocdb.failures
SET size = CASE WHEN version ~ '^-?[0-9]{1,19} [0-9]{1,18}$' THEN split_part(version, ' ', 2)::bigint ELSE 0 END;
ALTER TABLE spocdb.failures ALTER COLUMN size SET NOT NULL;
ALTER TABLE spocdb.failures ALTER COLUMN version TYPE bigint
    USING CASE WHEN version ~ '^-?[0-9]{1,19} [0-9]{1,18}$' THEN mod(split_part(version, ' ', 1)::numeric, 9223372036854775808) ELSE 0 END;
ALTER TABLE spocdb.failures RENAME COLUMN version TO mtime_ns;
COMMENT ON COLUMN spocdb.failures.mtime_ns IS NULL;
