CREATE OR REPLACE FUNCTION spocdb.types_of(relation regclass, columns text[])
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(a.attname, format_type(a.atttypid, NULL)), '{}')
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attnum > 0 AND NOT a.attisdropped
$$;

COMMENT ON FUNCTION spocdb.types_of(regclass, text[]) IS
    'The types of columns of a table, by their names';

REVOKE ALL ON FUNCTION spocdb.types_of(regclass, text[]) FROM PUBLIC;
