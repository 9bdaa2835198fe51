CREATE OR REPLACE FUNCTION spocdb.count_embeddings(collection text, projection bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    found bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM spocdb.%I', (target(collection, projection)).table_name) INTO found;
    RETURN found;
END
$$;

COMMENT ON FUNCTION spocdb.count_embeddings(text, bigint) IS
    'How many of a collection''s images have an embedding by a projection; exact, so it reads the table or its index';
