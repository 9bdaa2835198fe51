CREATE OR REPLACE FUNCTION spocdb.similar(
    collection text,
    image_id   bigint,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false
)
RETURNS TABLE (id bigint, path text, distance double precision, metadata jsonb, method text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = spocdb, @extschema:vector@, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    table_name text;
    query      vector;
BEGIN
    SELECT embedding_table(c.id, c.active_projection_id) INTO table_name
    FROM collections c WHERE c.name = collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    END IF;
    EXECUTE format('SELECT e.embedding::vector FROM spocdb.%I e WHERE e.image_id = $1', table_name)
    INTO query USING image_id;
    IF query IS NULL THEN
        RAISE EXCEPTION 'collection % has no image %', quote_ident(collection), image_id
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY
        SELECT s.* FROM search(collection, query, coalesce(k, 10) + 1, filter, exact) s
        WHERE s.id <> image_id ORDER BY s.distance, s.id LIMIT coalesce(k, 10);
END
$$;

COMMENT ON FUNCTION spocdb.similar(text, bigint, integer, jsonb, boolean) IS
    'The k images of a collection that look most like one of its own, which is left out';
