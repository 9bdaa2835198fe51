CREATE OR REPLACE FUNCTION spocdb.collapse(collection text, ids bigint[])
RETURNS TABLE (id bigint, n_duplicates bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal record := duplicate_target(collapse.collection);
BEGIN
    RETURN QUERY
        WITH listed AS (
            SELECT l.id, l.place, (
                SELECT p.keeper_id FROM duplicate_present p
                WHERE p.collection_id = goal.id AND p.projection_id = goal.projection AND p.image_id = l.id) AS keeper
            FROM unnest(collapse.ids) WITH ORDINALITY AS l (id, place)
        ), firsts AS (
            -- An image without duplicates is a group of its own.
            SELECT DISTINCT ON (coalesce(l.keeper, l.id)) l.* FROM listed l
            ORDER BY coalesce(l.keeper, l.id), l.place
        )
        SELECT f.id, (
            -- Without the view's look at the keeper, which is present, for each of maybe 100,000 members.
            SELECT count(*) FROM duplicate_members m JOIN images i ON i.id = m.image_id AND i.sha256 = m.sha256
            WHERE m.collection_id = goal.id AND m.projection_id = goal.projection
              AND m.keeper_id = f.keeper AND m.image_id <> f.id)
        FROM firsts f ORDER BY f.place;
END
$$;

COMMENT ON FUNCTION spocdb.collapse(text, bigint[]) IS
    'Of each group of duplicates the first one among some images of a collection, in their order, and how many others the group has';
