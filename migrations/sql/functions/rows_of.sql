CREATE OR REPLACE FUNCTION spocdb.rows_of(relation regclass)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
    SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END || relation::text
    FROM pg_class c WHERE c.oid = relation
$$;

COMMENT ON FUNCTION spocdb.rows_of(regclass) IS
    'What stands after FROM for the rows of an attached table: a partitioned one has them in its partitions';

REVOKE ALL ON FUNCTION spocdb.rows_of(regclass) FROM PUBLIC;
