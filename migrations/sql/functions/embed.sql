CREATE OR REPLACE FUNCTION spocdb.embed(collection text, raw vector, projection bigint DEFAULT NULL)
RETURNS vector
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$ SELECT project(raw, t.projection) FROM target(collection, embed.projection) t $$;

COMMENT ON FUNCTION spocdb.embed(text, vector, bigint) IS
    'Project a raw descriptor with a projection of a collection, by default the active one, ready for the ORDER BY over its view';
