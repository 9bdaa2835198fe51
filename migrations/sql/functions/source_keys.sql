CREATE OR REPLACE FUNCTION spocdb.source_keys(collection bigint)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET row_security = off
-- Keeps the planner from evaluating CHECKs of the table.
SET constraint_exclusion = off
-- With `off` the strings of a condition may end elsewhere, so that it differs from the one judged.
SET standard_conforming_strings = on
AS $$
DECLARE
    source sources;
BEGIN
    source := open_source(collection);
    IF source.collection_id IS NULL THEN
        RAISE EXCEPTION 'no table is attached as collection %', collection USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY EXECUTE format(
        E'SELECT t.%1$I::text FROM %2$s AS t WHERE t.%3$I IS NOT NULL AND t.%3$I <> '''' AND (%4$s\n)',
        source.key_column, rows_of(source.relation), source.image_column, coalesce(source.condition, 'true'));
END
$$;

COMMENT ON FUNCTION spocdb.source_keys(bigint) IS
    'The keys of all rows of an attached table that belong to its collection';

REVOKE ALL ON FUNCTION spocdb.source_keys(bigint) FROM PUBLIC;
