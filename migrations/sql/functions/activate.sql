CREATE OR REPLACE FUNCTION spocdb.activate(collection bigint, projection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    n_missing  bigint;
    n_wrong    bigint;
    are_zeros  boolean;
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

    -- A distance is 1 - the inner product only for embeddings of length one. spocdb checks the rows
    -- that it writes; this checks rows of other clients. It reads only 1,000 rows, so that a rollback
    -- stays instant. A single zero embedding is valid, if all are zero the projection is broken. The
    -- raw projection is not checked.
    EXECUTE format(
        'SELECT count(*) FILTER (WHERE e.dot <> 0 AND abs(1 + e.dot) > 0.02), bool_and(e.dot = 0)
         FROM (SELECT embedding OPERATOR(@extschema:vector@.<#>) embedding AS dot
               FROM spocdb.%I LIMIT 1000) e',
        embedding_table(collection, projection))
    INTO n_wrong, are_zeros;
    IF (n_wrong > 0 OR are_zeros)
       AND EXISTS (SELECT FROM projections p WHERE p.id = projection AND p.kind <> 'raw') THEN
        RAISE EXCEPTION 'the embeddings of collection % by projection % are not of length one',
            collection, projection
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('run `db.pca.drop(%s, collection=NAME)`, then activate it again', projection);
    END IF;

    -- The active projection determines the extractor of new images and queries.
    UPDATE collections c
    SET previous_projection_id = c.active_projection_id, active_projection_id = projection,
        extractor_id = (SELECT p.extractor_id FROM projections p WHERE p.id = projection)
    WHERE c.id = collection AND c.active_projection_id IS DISTINCT FROM projection;
    PERFORM refresh_view(collection);
END
$$;

COMMENT ON FUNCTION spocdb.activate(bigint, bigint) IS
    'Activate a projection whose embeddings are complete, and its extractor, for a collection; the previous projection is stored for rollback';
