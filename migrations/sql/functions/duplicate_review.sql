CREATE OR REPLACE FUNCTION spocdb.duplicate_review(collection text, most_distant double precision DEFAULT NULL, after bigint DEFAULT 0, n integer DEFAULT NULL, members integer DEFAULT NULL)
RETURNS TABLE (keeper_id bigint, image_id bigint, distance double precision, level text, n_members bigint, is_kept boolean, is_rejected boolean, is_same boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal record := duplicate_target(duplicate_review.collection);
    far  double precision := coalesce(duplicate_review.most_distant, 'infinity');
BEGIN
    RETURN QUERY
        WITH shown AS (
            SELECT DISTINCT p.keeper_id FROM duplicate_present p
            WHERE p.collection_id = goal.id AND p.projection_id = goal.projection
              AND p.keeper_id > duplicate_review.after AND p.image_id <> p.keeper_id AND p.distance <= far
            ORDER BY 1 LIMIT duplicate_review.n
        ), placed AS (
            SELECT p.keeper_id, p.image_id, p.distance, p.sha256,
                   count(*) OVER (PARTITION BY p.keeper_id) AS n_members,
                   row_number() OVER (PARTITION BY p.keeper_id
                                      ORDER BY p.image_id <> p.keeper_id, p.distance, p.image_id) AS place
            FROM duplicate_present p
            WHERE p.collection_id = goal.id AND p.projection_id = goal.projection
              AND p.keeper_id IN (SELECT s.keeper_id FROM shown s)
              AND (p.image_id = p.keeper_id OR p.distance <= far)
        )
        SELECT p.keeper_id, p.image_id, p.distance,
               duplicate_level(goal.id, goal.projection, p.sha256, k.sha256, p.distance), p.n_members,
               EXISTS (SELECT FROM duplicate_choices c WHERE c.kept = p.sha256 AND c.rejected = ''),
               p.image_id <> p.keeper_id AND EXISTS (
                   SELECT FROM duplicate_choices c WHERE c.kept = k.sha256 AND c.rejected = p.sha256),
               EXISTS (SELECT FROM duplicate_decisions d
                       WHERE d.a = least(k.sha256, p.sha256) AND d.b = greatest(k.sha256, p.sha256)
                         AND d.verdict = 'same')
        FROM placed p JOIN images k ON k.id = p.keeper_id
        WHERE p.place <= coalesce(duplicate_review.members, p.place)
        ORDER BY p.keeper_id, p.place;
END
$$;

COMMENT ON FUNCTION spocdb.duplicate_review(text, double precision, bigint, integer, integer) IS
    'The groups of duplicates as a person reviews them: the keeper and up to `members` images in all, of `n_members` that are no farther than `most_distant` from it; what was chosen to be kept, what is rejected beside this keeper, and what was decided to be the same as it; of n groups after the keeper `after`';
