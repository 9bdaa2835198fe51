CREATE OR REPLACE FUNCTION spocdb.embedding_table(collection_id bigint, projection_id bigint)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT 'embeddings_' || collection_id || '_' || projection_id $$;

COMMENT ON FUNCTION spocdb.embedding_table(bigint, bigint) IS
    'Name of the table in schema spocdb that holds a collection''s embeddings by a projection';
