CREATE OR REPLACE FUNCTION spocdb.add_embedding_table(collection bigint, projection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    column_type text;
    kind        text;
    index_type  text;
    dim         integer;
BEGIN
    -- Waits for running batches. A batch that begins later sees the new table, and writes to it if
    -- the projection is of its extractor.
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    IF EXISTS (SELECT FROM embedding_tables t
               WHERE t.collection_id = collection AND t.projection_id = projection) THEN
        RETURN;
    END IF;
    -- pgvector indexes a vector up to 2000 dimensions, a halfvec up to 4000.
    SELECT p.dim, CASE WHEN p.dim > 2000 THEN 'halfvec' ELSE 'vector' END
    INTO dim, column_type
    FROM projections p WHERE p.id = projection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no projection %', projection
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT id FROM spocdb.projections';
    END IF;

    -- Of the kind of the active one, so that the view keeps its type. The first kind is chosen when an index is built.
    SELECT CASE WHEN t.kind IN ('hnsw-vector', 'diskann') AND dim > 2000 THEN 'hnsw-halfvec' ELSE t.kind END INTO kind
    FROM collections c
    JOIN embedding_tables t ON t.collection_id = c.id AND t.projection_id = c.active_projection_id
    WHERE c.id = collection;
    index_type := CASE kind WHEN 'hnsw-halfvec' THEN 'halfvec' ELSE column_type END;
    INSERT INTO embedding_tables (collection_id, projection_id, column_type, index_type, kind)
    VALUES (collection, projection, column_type, index_type, kind);
    PERFORM make_embedding_table(c.id, projection, embedding_table(c.id, projection), c.partitions)
    FROM collections c WHERE c.id = collection;
END
$$;

COMMENT ON FUNCTION spocdb.add_embedding_table(bigint, bigint) IS
    'Add an empty embedding table for a projection to a collection; later batches of the projection''s extractor are written to it too';
