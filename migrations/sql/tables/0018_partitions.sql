-- It has another argument now.
DROP FUNCTION IF EXISTS spocdb.create_collection(text, bigint);

ALTER TABLE spocdb.collections ADD COLUMN partitions integer NOT NULL DEFAULT 1 CHECK (partitions BETWEEN 1 AND 256);
COMMENT ON COLUMN spocdb.collections.partitions IS 'number of hash partitions of its embedding tables; 1: each is one table';
