CREATE OR REPLACE FUNCTION spocdb.embeddings_after(collection text, last bigint, n integer)
RETURNS TABLE (image_id bigint, embedding vector)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT e.image_id, e.embedding::@extschema:vector@.vector
         FROM spocdb.%I e WHERE e.image_id > $1 ORDER BY e.image_id LIMIT $2',
        (target(collection)).table_name)
    USING last, n;
END
$$;

COMMENT ON FUNCTION spocdb.embeddings_after(text, bigint, integer) IS
    'The next n active embeddings of a collection by their images'' ids, after the id `last`';
