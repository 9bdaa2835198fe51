CREATE OR REPLACE FUNCTION spocdb.drop_embedding_table(collection bigint, projection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    UPDATE collections c SET previous_projection_id = NULL
    WHERE c.id = collection AND c.previous_projection_id = projection;
    DELETE FROM embedding_tables t WHERE t.collection_id = collection AND t.projection_id = projection;
    -- And what an interrupted move left.
    EXECUTE format('DROP TABLE IF EXISTS spocdb.%I, spocdb.%I', embedding_table(collection, projection),
                   embedding_table(collection, projection) || '_new');
END
$$;

COMMENT ON FUNCTION spocdb.drop_embedding_table(bigint, bigint) IS
    'Drop a collection''s embeddings by a projection; refused by the foreign key for the active one';
