CREATE OR REPLACE FUNCTION spocdb.embed(collection text, raw vector)
RETURNS vector
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$ SELECT project(raw, t.projection) FROM target(collection) t $$;

COMMENT ON FUNCTION spocdb.embed(text, vector) IS
    'Project a raw descriptor with the active projection of a collection, ready for its ORDER BY';
