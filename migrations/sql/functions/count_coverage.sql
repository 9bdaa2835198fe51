CREATE OR REPLACE FUNCTION spocdb.count_coverage()
RETURNS TABLE (
    collection text, projection bigint, active boolean, relation text, rows bigint, embedded bigint,
    pending bigint, leased bigint, failed bigint, oldest_pending interval, problem text
)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
    SELECT * FROM coverage_of(NULL)
$$;

COMMENT ON FUNCTION spocdb.count_coverage() IS
    'The rows of spocdb.coverage, of the collections that the caller may read; the counts are exact, so it reads every row';

-- A release before revoked it; CREATE OR REPLACE keeps that.
GRANT EXECUTE ON FUNCTION spocdb.count_coverage() TO PUBLIC;

CREATE OR REPLACE VIEW spocdb.coverage AS SELECT * FROM spocdb.count_coverage();
COMMENT ON VIEW spocdb.coverage IS
    'How far each collection is embedded by each of its projections; rows = embedded + pending + leased + failed, each row counted once';
