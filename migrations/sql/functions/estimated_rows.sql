CREATE OR REPLACE FUNCTION spocdb.estimated_rows(table_name text)
RETURNS bigint
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- Autovacuum analyzes the parts of a partitioned table, not the table itself.
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
    FROM to_regclass(format('spocdb.%I', table_name)) t (oid)
    CROSS JOIN LATERAL (SELECT t.oid UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = t.oid) part
    JOIN pg_class c ON c.oid = part.oid AND c.relkind = 'r'
$$;

COMMENT ON FUNCTION spocdb.estimated_rows(text) IS
    'About how many rows an embedding table has, all its parts together, as of its last ANALYZE or VACUUM';
