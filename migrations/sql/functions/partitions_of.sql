CREATE OR REPLACE FUNCTION spocdb.partitions_of(relation regclass)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
    -- ATTACH makes a new row of pg_inherits, and TRUNCATE a new file. So do VACUUM FULL and others, after which
    -- the rows are checked in vain.
    SELECT md5(string_agg(concat_ws(' ', c.oid, i.inhparent, i.xmin, c.relfilenode), ',' ORDER BY c.oid))
    FROM pg_partition_tree(relation) t JOIN pg_class c ON c.oid = t.relid
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
$$;

COMMENT ON FUNCTION spocdb.partitions_of(regclass) IS
    'A text that changes when partitions come, go or are emptied, which fires no row trigger; NULL for tables without partitions';

REVOKE ALL ON FUNCTION spocdb.partitions_of(regclass) FROM PUBLIC;
