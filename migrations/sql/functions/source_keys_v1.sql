CREATE OR REPLACE FUNCTION spocdb.source_keys(collection bigint)
RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET row_security = off
AS $$
DECLARE
    source record;
BEGIN
    SELECT s.* INTO STRICT source FROM sources s WHERE s.collection_id = collection;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = source.relation) THEN
        RAISE EXCEPTION 'it was dropped' USING ERRCODE = 'undefined_table';
    END IF;
    RETURN QUERY EXECUTE format(
        E'SELECT t.%1$I::text FROM %2$s AS t WHERE t.%3$I IS NOT NULL AND t.%3$I <> '''' AND (%4$s\n)',
        source.key_column, source.relation, source.image_column, coalesce(source.condition, 'true'));
END
$$;

COMMENT ON FUNCTION spocdb.source_keys(bigint) IS
    'The keys of all rows of an attached table that belong to its collection';

REVOKE ALL ON FUNCTION spocdb.source_keys(bigint) FROM PUBLIC;
