CREATE OR REPLACE FUNCTION spocdb.retry(collection text, keys text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    target    bigint;
    n_failed  bigint;
    n_waiting bigint;
BEGIN
    SELECT c.id INTO target FROM collections c WHERE c.name = retry.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection %', quote_ident(retry.collection)
            USING ERRCODE = 'undefined_object', HINT = 'see `spocdb.count_coverage()`';
    END IF;
    WITH failed AS (
        DELETE FROM failures f
        WHERE f.collection_id = target AND (retry.keys IS NULL OR f.path = ANY (retry.keys))
        RETURNING f.path, f.reason
    )
    INSERT INTO queue (collection_id, key, enqueued_at, lost)
    -- A row that ended worker processes is leased alone from the start.
    SELECT target, f.path, now(), CASE f.reason WHEN 'ProcessLost' THEN 2 ELSE 0 END
    FROM failed f ORDER BY f.path
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n_failed = ROW_COUNT;
    -- Rows in back-off are due now and have all their tries again. Leased ones stay with their worker.
    WITH waiting AS (
        SELECT q.key FROM queue q
        WHERE q.collection_id = target AND (retry.keys IS NULL OR q.key = ANY (retry.keys))
          AND q.lease IS NULL AND q.due_at > now()
        ORDER BY q.key FOR UPDATE
    )
    UPDATE queue q SET due_at = now(), attempts = 0
    FROM waiting w WHERE q.collection_id = target AND q.key = w.key;
    GET DIAGNOSTICS n_waiting = ROW_COUNT;
    PERFORM pg_notify('spocdb', '');
    -- Named rows that were due already count too.
    IF retry.keys IS NOT NULL THEN
        RETURN (SELECT count(*) FROM queue q
                WHERE q.collection_id = target AND q.key = ANY (retry.keys) AND q.lease IS NULL);
    END IF;
    RETURN n_failed + n_waiting;
END
$$;

COMMENT ON FUNCTION spocdb.retry(text, text[]) IS
    'Make failed rows, or references, and those in back-off due at once for workers, all or those named; returns how many, including named ones that were due already';
