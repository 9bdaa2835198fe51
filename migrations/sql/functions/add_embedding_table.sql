CREATE OR REPLACE FUNCTION spocdb.add_embedding_table(collection bigint, projection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    table_name  text := embedding_table(collection, projection);
    column_type text;
    kind        text;
    index_type  text;
    dim         integer;
    granted     record;
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
    EXECUTE format(
        'CREATE TABLE spocdb.%1$I (image_id bigint PRIMARY KEY, embedding @extschema:vector@.%2$s(%3$s) NOT NULL);
         ALTER TABLE spocdb.%1$I ALTER COLUMN embedding SET STORAGE PLAIN;
         COMMENT ON TABLE spocdb.%1$I IS %4$L;
         ALTER TABLE spocdb.%1$I OWNER TO %5$s',
        table_name, column_type, dim,
        format('Embeddings of collection %s by projection %s; see spocdb.embedding_tables',
               collection, projection),
        owner());
    -- Roles that may insert images may write embeddings.
    FOR granted IN
        SELECT DISTINCT a.grantee::regrole::text AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'spocdb.images'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON spocdb.%I TO %s', table_name, granted.role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.add_embedding_table(bigint, bigint) IS
    'Add an empty embedding table for a projection to a collection; later batches of the projection''s extractor are written to it too';
