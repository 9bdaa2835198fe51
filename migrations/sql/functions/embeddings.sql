CREATE OR REPLACE FUNCTION spocdb.embeddings(collection text, images bigint[])
RETURNS TABLE (image_id bigint, embedding vector)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT e.image_id, e.embedding::@extschema:vector@.vector
         FROM spocdb.%I e WHERE e.image_id = ANY ($1) ORDER BY e.image_id',
        (target(collection)).table_name)
    USING images;
END
$$;

COMMENT ON FUNCTION spocdb.embeddings(text, bigint[]) IS
    'The active embeddings of some of a collection''s images, by their ids; images that have none are left out';
