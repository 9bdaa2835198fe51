CREATE OR REPLACE FUNCTION spocdb.project(raw vector, projection bigint)
RETURNS vector
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
    -- The raw projection's mean is zero; subtracting it raises an error for a vector of another dimension.
    SELECT CASE p.kind WHEN 'raw' THEN @extschema:vector@.l2_normalize(raw OPERATOR(@extschema:vector@.-) p.mean) ELSE (
        SELECT @extschema:vector@.l2_normalize(
                   array_agg(-(c.component OPERATOR(@extschema:vector@.<#>) centred.raw) * c.scale ORDER BY c.position)
                   ::@extschema:vector@.vector)
        -- OFFSET 0 keeps the planner from subtracting the mean again for every component.
        FROM (SELECT raw OPERATOR(@extschema:vector@.-) p.mean AS raw OFFSET 0) centred, projection_components c
        WHERE c.projection_id = p.id
    ) END
    FROM projections p
    WHERE p.id = projection
$$;

COMMENT ON FUNCTION spocdb.project(vector, bigint) IS
    'Project a raw descriptor: subtract the mean, project to the components, scale them, L2-normalise. NULL if there is no such projection';

-- Readers call spocdb.embed, which checks their right to read the collection.
REVOKE ALL ON FUNCTION spocdb.project(vector, bigint) FROM PUBLIC;
