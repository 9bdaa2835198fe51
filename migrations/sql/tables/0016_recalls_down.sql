DROP FUNCTION IF EXISTS spocdb.ef_search(bigint, bigint, integer);
DROP TABLE spocdb.recalls;
ALTER TABLE spocdb.collections DROP COLUMN recall;
COMMENT ON COLUMN spocdb.embedding_tables.recall IS 'measured recall of the index against an exact scan';
