CREATE OR REPLACE FUNCTION spocdb.duplicate_groups(collection text, after bigint DEFAULT 0, n integer DEFAULT NULL)
RETURNS TABLE (keeper_id bigint, image_id bigint, distance double precision, level text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal record := duplicate_target(duplicate_groups.collection);
BEGIN
    RETURN QUERY
        SELECT p.keeper_id, p.image_id, p.distance,
               duplicate_level(p.collection_id, p.projection_id, p.sha256, k.sha256, p.distance)
        FROM duplicate_present p JOIN images k ON k.id = p.keeper_id
        WHERE p.collection_id = goal.id AND p.projection_id = goal.projection AND p.keeper_id IN (
            SELECT DISTINCT k.keeper_id FROM duplicate_present k
            WHERE k.collection_id = goal.id AND k.projection_id = goal.projection
              AND k.keeper_id > duplicate_groups.after
            ORDER BY 1 LIMIT duplicate_groups.n)
        ORDER BY p.keeper_id, p.image_id <> p.keeper_id, p.distance, p.image_id;
END
$$;

COMMENT ON FUNCTION spocdb.duplicate_groups(text, bigint, integer) IS
    'The images of a collection that have duplicates: each with the keeper of its group, which is among them, its cosine distance from it, and what the two have in common: bytes, picture, scene, or NULL if that is not known; of n groups, by default all, whose keepers'' ids are larger than `after`';
