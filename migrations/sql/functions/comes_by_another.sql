CREATE OR REPLACE FUNCTION spocdb.comes_by_another(relation regclass)
RETURNS boolean
LANGUAGE sql STABLE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
    -- Row triggers of a partitioned table are those of its partitions too.
    SELECT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = relation)
        OR EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
                   WHERE i.inhparent = relation AND c.relkind <> 'p')
$$;

COMMENT ON FUNCTION spocdb.comes_by_another(regclass) IS
    'Whether rows of a table are written by way of a parent or a child, whose triggers are not its own';

REVOKE ALL ON FUNCTION spocdb.comes_by_another(regclass) FROM PUBLIC;
