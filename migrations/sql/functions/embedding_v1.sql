CREATE OR REPLACE FUNCTION spocdb.embedding(collection text, image_id bigint)
RETURNS vector
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = spocdb, @extschema:vector@, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    table_name text;
    result     vector;
BEGIN
    SELECT embedding_table(c.id, c.active_projection_id) INTO table_name
    FROM collections c WHERE c.name = collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    END IF;
    EXECUTE format('SELECT e.embedding::vector FROM spocdb.%I e WHERE e.image_id = $1', table_name)
    INTO result USING image_id;
    IF result IS NULL THEN
        RAISE EXCEPTION 'collection % has no image %', quote_ident(collection), image_id
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN result;
END
$$;

COMMENT ON FUNCTION spocdb.embedding(text, bigint) IS
    'The active embedding of one of a collection''s images, whatever type its column has';
