CREATE OR REPLACE FUNCTION spocdb.embedding(collection text, image_id bigint, projection bigint DEFAULT NULL)
RETURNS vector
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    result @extschema:vector@.vector;
BEGIN
    IF image_id IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT e.embedding::@extschema:vector@.vector FROM spocdb.%I e WHERE e.image_id = $1',
                   (target(collection, projection)).table_name)
    INTO result USING image_id;
    IF result IS NULL THEN
        RAISE EXCEPTION 'collection % has no image %', quote_ident(collection),
            concat(image_id, ' embedded by projection ' || projection)
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN result;
END
$$;

COMMENT ON FUNCTION spocdb.embedding(text, bigint, bigint) IS
    'The embedding of one of a collection''s images by a projection, by default the active one, as a vector even if its column is a halfvec';
