DROP FUNCTION IF EXISTS spocdb.target(text, bigint);
DROP FUNCTION IF EXISTS spocdb.by_index(text, integer, text, text);
DROP FUNCTION IF EXISTS spocdb.candidates(text, integer, integer);

-- Older functions cannot search by other kinds. Without an index they compare all; `spocdb index build` makes one.
DO $$
DECLARE
    made text;
BEGIN
    FOR made IN
        SELECT format('embeddings_%s_%s_hnsw', t.collection_id, t.projection_id) FROM spocdb.embedding_tables t
        WHERE t.kind NOT IN ('hnsw-vector', 'hnsw-halfvec')
    LOOP
        EXECUTE format('DROP INDEX IF EXISTS spocdb.%I', made);
    END LOOP;
END $$;
DELETE FROM spocdb.recalls r USING spocdb.embedding_tables t
WHERE t.collection_id = r.collection_id AND t.projection_id = r.projection_id
  AND t.kind NOT IN ('hnsw-vector', 'hnsw-halfvec');
UPDATE spocdb.embedding_tables SET recall = NULL, recall_settings = NULL
WHERE kind NOT IN ('hnsw-vector', 'hnsw-halfvec');
ALTER TABLE spocdb.embedding_tables DROP COLUMN kind;
COMMENT ON COLUMN spocdb.embedding_tables.index_type IS 'what the HNSW index holds, and what the collection''s view shows';
