CREATE OR REPLACE FUNCTION spocdb.lock_rows(collection bigint, keys text[])
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET row_security = off
AS $$
DECLARE
    source record;
BEGIN
    SELECT s.* INTO source FROM sources s WHERE s.collection_id = collection;
    IF NOT FOUND THEN
        RETURN;  -- it was detached in this moment
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = source.relation) THEN
        RAISE EXCEPTION 'it was dropped' USING ERRCODE = 'undefined_table';
    END IF;
    -- Never waits for the application, and lets it change all of a row but its key.
    RETURN QUERY EXECUTE format(
        'SELECT t.%1$I::text FROM %2$s AS t WHERE t.%1$I = ANY ($1::%3$s[]) FOR KEY SHARE SKIP LOCKED',
        source.key_column, source.relation, source.key_type)
    USING keys;
END
$$;

COMMENT ON FUNCTION spocdb.lock_rows(bigint, text[]) IS
    'Keep rows of an attached table from being deleted until the transaction ends; those that are just now are left out';

REVOKE ALL ON FUNCTION spocdb.lock_rows(bigint, text[]) FROM PUBLIC;
