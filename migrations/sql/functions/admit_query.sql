CREATE OR REPLACE FUNCTION spocdb.admit_query()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;
BEGIN
    -- Where no worker runs, nobody else deletes them. SKIP LOCKED, so that clients wait neither for each other
    -- nor for workers. A snapshot of REPEATABLE READ may show rows that are deleted already.
    BEGIN
        DELETE FROM queries q WHERE q.id IN (
            SELECT e.id FROM queries e WHERE e.expires_at <= now() FOR UPDATE SKIP LOCKED);
    EXCEPTION WHEN serialization_failure THEN
        NULL;
    END;
    -- Before the row is written, so that a refused picture takes no room. Rows of transactions that are not
    -- committed yet are not seen.
    IF (SELECT count(*) FROM queries q
        WHERE q.asked_by = NEW.asked_by AND q.answered_at IS NULL AND q.expires_at > now()) >= most THEN
        RAISE EXCEPTION '% queries of the role % wait for an answer already', most, quote_ident(NEW.asked_by)
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = 'ask again when workers have answered some of them; DELETE those that nobody needs any more';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION spocdb.admit_query() IS
    'Trigger: delete expired queries; refuse a query of a role that has 100 which wait';

REVOKE ALL ON FUNCTION spocdb.admit_query() FROM PUBLIC;

DO $$
BEGIN
    -- Only where it is missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.queries'::regclass AND t.tgname = 'admit_query') THEN
        CREATE TRIGGER admit_query
            BEFORE INSERT ON spocdb.queries
            FOR EACH ROW EXECUTE FUNCTION spocdb.admit_query();
    END IF;
END
$$;
