CREATE OR REPLACE FUNCTION spocdb.activate(collection bigint, projection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    n_missing bigint;
BEGIN
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    IF NOT EXISTS (SELECT FROM embedding_tables t
                   WHERE t.collection_id = collection AND t.projection_id = projection) THEN
        RAISE EXCEPTION 'collection % has no embeddings by projection %: build them first',
            collection, projection USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM spocdb.images i
         WHERE i.collection_id = $1
           AND NOT EXISTS (SELECT FROM spocdb.%I e WHERE e.image_id = i.id)',
        embedding_table(collection, projection))
    INTO n_missing USING collection;
    IF n_missing > 0 THEN
        RAISE EXCEPTION 'projection % still lacks % images of collection %: build them first',
            projection, n_missing, collection USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    -- The active projection decides the extractor: new images and queries must take its way.
    UPDATE collections c
    SET previous_projection_id = c.active_projection_id, active_projection_id = projection,
        extractor_id = (SELECT p.extractor_id FROM projections p WHERE p.id = projection)
    WHERE c.id = collection AND c.active_projection_id IS DISTINCT FROM projection;
    PERFORM refresh_view(collection);
END
$$;

COMMENT ON FUNCTION spocdb.activate(bigint, bigint) IS
    'Let a collection answer by a projection whose embeddings are complete, and use its extractor; the one before is remembered for rollback';
