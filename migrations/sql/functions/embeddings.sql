CREATE OR REPLACE FUNCTION spocdb.embeddings(collection text, images bigint[], projection bigint DEFAULT NULL)
RETURNS TABLE (image_id bigint, embedding vector)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT e.image_id, e.embedding::@extschema:vector@.vector
         FROM spocdb.%I e WHERE e.image_id = ANY ($1) ORDER BY e.image_id',
        (target(collection, projection)).table_name)
    USING images;
END
$$;

COMMENT ON FUNCTION spocdb.embeddings(text, bigint[], bigint) IS
    'The embeddings of some of a collection''s images by a projection, by default the active one, by the images'' ids; images that have none are left out';
