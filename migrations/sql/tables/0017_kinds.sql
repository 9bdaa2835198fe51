-- Its result has another column now.
DROP FUNCTION IF EXISTS spocdb.target(text, bigint);

ALTER TABLE spocdb.embedding_tables ADD COLUMN kind text;
-- No collection gets another kind by an upgrade.
UPDATE spocdb.embedding_tables SET kind = 'hnsw-' || index_type;
ALTER TABLE spocdb.embedding_tables ADD CHECK (
    CASE WHEN kind IN ('hnsw-vector', 'diskann') THEN column_type = 'vector' AND index_type = 'vector'
         WHEN kind = 'hnsw-halfvec' THEN index_type = 'halfvec'
         ELSE index_type = column_type END);
COMMENT ON COLUMN spocdb.embedding_tables.kind IS 'kind of its index: hnsw-vector, hnsw-halfvec, hnsw-bit or diskann; NULL until it is chosen, when the index is built';
COMMENT ON COLUMN spocdb.embedding_tables.index_type IS 'type of the embedding in the view of the collection, which hand-written SQL compares';
