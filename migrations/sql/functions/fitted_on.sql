CREATE OR REPLACE FUNCTION spocdb.fitted_on(projection bigint)
RETURNS jsonb
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
    SELECT CASE WHEN may_read() OR NOT EXISTS (
        SELECT FROM jsonb_array_elements_text(coalesce(p.fitted_on->'collections', '[]')) AS c (name)
        WHERE NOT may_read(c.name)) THEN p.fitted_on ELSE '{}' END
    FROM projections p WHERE p.id = projection
$$;

COMMENT ON FUNCTION spocdb.fitted_on(bigint) IS
    'What a projection was fitted on; empty if the caller may not read one of these collections';
