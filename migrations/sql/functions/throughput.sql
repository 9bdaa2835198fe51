CREATE OR REPLACE FUNCTION spocdb.throughput(asked text DEFAULT NULL)
RETURNS TABLE (collection text, images_per_second double precision, remaining interval)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET row_security = off
AS $$
    -- An archive counts by its bytes, as nobody has counted its images; what has no size counts as the mean
    -- of the images of the last five minutes. The newest images are found by their ids.
    SELECT c.name, r.n / r.seconds,
           CASE WHEN w.n_waiting > 0
                THEN (w.n_bytes + w.n_unknown * r.n_bytes / r.n) / (r.n_bytes / r.seconds) * interval '1 second' END
    FROM collections c
    CROSS JOIN LATERAL (
        SELECT count(*)::float8 AS n, greatest(sum(i.size), 1)::float8 AS n_bytes,
               greatest(extract(epoch FROM clock_timestamp() - min(i.ingested_at)), 1)::float8 AS seconds
        FROM (SELECT j.size, j.ingested_at FROM images j
              WHERE j.collection_id = c.id ORDER BY j.id DESC LIMIT 100000) i
        WHERE i.ingested_at > now() - interval '5 minutes'
    ) r
    CROSS JOIN LATERAL (
        SELECT count(*) AS n_waiting, count(*) FILTER (WHERE q.size IS NULL) AS n_unknown,
               coalesce(sum(q.size), 0)::float8 AS n_bytes
        FROM queue q WHERE q.collection_id = c.id
    ) w
    WHERE r.n > 0 AND (asked IS NULL OR c.name = asked) AND may_read(c.name)
$$;

COMMENT ON FUNCTION spocdb.throughput(text) IS
    'How many images a second each collection got within the last five minutes, and when its queue would be empty at this rate; of one collection, NULL for all that the caller may read';
