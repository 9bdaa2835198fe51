CREATE OR REPLACE FUNCTION spocdb.iterative_scan(for_session boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('hnsw.iterative_scan', 'strict_order', NOT for_session),
            set_config('hnsw.ef_search', '100', NOT for_session),
            -- No limit, however many rows the application's WHERE filters out.
            set_config('hnsw.max_scan_tuples', '2147483647', NOT for_session),
            set_config('hnsw.scan_mem_multiplier', '1000', NOT for_session);
END
$$;

COMMENT ON FUNCTION spocdb.iterative_scan(boolean) IS
    'For the rest of this transaction, or session, an ORDER BY over the index continues until LIMIT is reached, however many rows a WHERE filters out';
