CREATE OR REPLACE FUNCTION spocdb.near_duplicates(collection text, image_id bigint)
RETURNS TABLE (id bigint, path text, distance double precision, level text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal    record := duplicate_target(near_duplicates.collection);
    content bytea;
BEGIN
    SELECT i.sha256 INTO content FROM images i
    WHERE i.collection_id = goal.id AND i.id = near_duplicates.image_id;
    IF content IS NULL THEN
        RAISE EXCEPTION 'collection % has no image %',
            quote_ident(near_duplicates.collection), near_duplicates.image_id
            USING ERRCODE = 'no_data_found', HINT = 'its view lists the ids';
    END IF;
    RETURN QUERY
        SELECT i.id, i.path, min(n.distance),
               duplicate_level(goal.id, goal.projection, content, i.sha256, min(n.distance))
        FROM (SELECT content AS sha256, 0::double precision AS distance
              UNION ALL
              SELECT e.other, e.distance FROM duplicate_edges e
              WHERE e.collection_id = goal.id AND e.projection_id = goal.projection AND e.one = content) n
        JOIN images i ON i.collection_id = goal.id AND i.sha256 = n.sha256
        WHERE i.id <> near_duplicates.image_id
        GROUP BY i.id
        ORDER BY 3, 1;
END
$$;

COMMENT ON FUNCTION spocdb.near_duplicates(text, bigint) IS
    'The images of a collection that are near-duplicates of one of its own, whatever group they are in, and what the two have in common: bytes, picture, scene, or NULL if that is not known; the distance is 0 for the same bytes and for what was decided to be the same';
