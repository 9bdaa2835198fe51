CREATE OR REPLACE FUNCTION spocdb.lock_rows(collection bigint, keys text[])
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET row_security = off
-- Keeps the planner from evaluating CHECKs of the table.
SET constraint_exclusion = off
AS $$
DECLARE
    source sources;
BEGIN
    source := open_source(collection);
    IF source.collection_id IS NULL THEN
        -- A collection of files: nobody deletes its references. If the table was detached meanwhile, the
        -- collection is gone with its queue, which the caller finds out.
        RETURN QUERY SELECT unnest(keys);
        RETURN;
    END IF;
    -- SKIP LOCKED never waits for the application. FOR KEY SHARE lets it change all of a row but its key.
    RETURN QUERY EXECUTE format(
        'SELECT t.%1$I::text FROM %2$s AS t WHERE t.%1$I = ANY ($1::%3$s[]) FOR KEY SHARE SKIP LOCKED',
        source.key_column, rows_of(source.relation), source.key_type)
    USING keys;
END
$$;

COMMENT ON FUNCTION spocdb.lock_rows(bigint, text[]) IS
    'Lock rows of an attached table against deletion until the transaction ends; rows that are being deleted are left out';

REVOKE ALL ON FUNCTION spocdb.lock_rows(bigint, text[]) FROM PUBLIC;
