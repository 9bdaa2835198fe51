CREATE OR REPLACE FUNCTION spocdb.wake_workers()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('spocdb_queries', '');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION spocdb.wake_workers() IS
    'Trigger: tell workers that somebody waits for an answer in spocdb.queries';

DO $$
BEGIN
    -- Only where it is missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.queries'::regclass AND t.tgname = 'wake_workers') THEN
        CREATE TRIGGER wake_workers
            AFTER INSERT ON spocdb.queries
            FOR EACH STATEMENT EXECUTE FUNCTION spocdb.wake_workers();
    END IF;
END
$$;
