CREATE OR REPLACE FUNCTION spocdb.embed(collection text, raw vector)
RETURNS vector
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = spocdb, @extschema:vector@, pg_temp
AS $$
DECLARE
    projection bigint;
BEGIN
    SELECT c.active_projection_id INTO projection FROM collections c WHERE c.name = collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    END IF;
    RETURN project(raw, projection);
END
$$;

COMMENT ON FUNCTION spocdb.embed(text, vector) IS
    'Project a raw descriptor with the active projection of a collection, ready for its ORDER BY';
