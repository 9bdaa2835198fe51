CREATE OR REPLACE FUNCTION spocdb.duplicate_level(
    collection_id bigint, projection_id bigint, one bytea, other bytea, distance double precision)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
    SELECT CASE
        WHEN one = other THEN 'bytes'
        -- Also what a person decided to be the same, whose distance is 0.
        WHEN distance <= coalesce(t.picture, 0) THEN 'picture'
        WHEN distance > t.scene THEN NULL
        WHEN EXISTS (
            SELECT FROM thumbnails x JOIN thumbnails y USING (signature_version)
            WHERE x.sha256 = one AND y.sha256 = other
              AND bit_count((x.signature # y.signature)::bit(64)) <= t.bits) THEN 'picture'
        WHEN distance <= t.scene THEN 'scene'
    END
    FROM (SELECT) nothing
    LEFT JOIN duplicate_thresholds t
        ON t.collection_id = duplicate_level.collection_id AND t.projection_id = duplicate_level.projection_id
$$;

COMMENT ON FUNCTION spocdb.duplicate_level(bigint, bigint, bytea, bytea, double precision) IS
    'What two contents at a distance have in common, by the thresholds of a collection and projection: bytes, picture, scene; NULL: nothing that is known';

-- Readers call spocdb.duplicate_groups and spocdb.near_duplicates, which call this as the owner.
REVOKE ALL ON FUNCTION spocdb.duplicate_level(bigint, bigint, bytea, bytea, double precision) FROM PUBLIC;
