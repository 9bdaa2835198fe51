CREATE OR REPLACE FUNCTION spocdb.duplicate_groups(collection text)
RETURNS TABLE (keeper_id bigint, image_id bigint, distance double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal record := duplicate_target(duplicate_groups.collection);
BEGIN
    RETURN QUERY
        SELECT m.keeper_id, m.image_id, m.distance FROM duplicate_members m
        WHERE m.collection_id = goal.id AND m.projection_id = goal.projection
        ORDER BY m.keeper_id, m.distance, m.image_id;
END
$$;

COMMENT ON FUNCTION spocdb.duplicate_groups(text) IS
    'The images of a collection that have duplicates: each with the keeper of its group, which is among them, and its cosine distance from it';
