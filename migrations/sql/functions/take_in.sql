CREATE OR REPLACE FUNCTION spocdb.take_in(collection bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    -- Longer keys fit no index.
    longest CONSTANT integer := 2000;
    most    CONSTANT integer := 100;
    taken   bigint[];
    parts   text;
    n_keys  bigint;
BEGIN
    -- The lock order of all writers: the application's table, the collection, then the queue.
    PERFORM lock_rows(collection, '{}');
    PERFORM lock_collection(collection);
    -- Partitions that came, went or were emptied fired no trigger: all rows are checked.
    SELECT partitions_of(s.relation) INTO parts FROM sources s WHERE s.collection_id = collection;
    IF parts IS NOT NULL THEN
        UPDATE sources s SET judged = s.judged || jsonb_build_object('partitions', parts)
        WHERE s.collection_id = collection AND s.judged->>'partitions' IS DISTINCT FROM parts;
        IF FOUND THEN
            INSERT INTO source_changes (collection_id, keys) VALUES (collection, NULL);
        END IF;
    END IF;
    SELECT array_agg(x.id) INTO taken FROM (
        SELECT c.id FROM source_changes c WHERE c.collection_id = collection
        ORDER BY c.id LIMIT most FOR UPDATE SKIP LOCKED) x;
    -- Ordered by key, as every worker takes its locks. A change ends the lease of its row.
    WITH named AS (
        SELECT unnest(c.keys) AS key, c.changed_at FROM source_changes c WHERE c.id = ANY (taken)
    ), everything AS (
        SELECT max(c.changed_at) AS changed_at FROM source_changes c WHERE c.id = ANY (taken) AND c.keys IS NULL
        HAVING count(*) > 0
    ), known AS (
        SELECT k.key, e.changed_at FROM everything e, source_keys(collection) AS k (key)
        UNION ALL
        SELECT i.path, e.changed_at FROM everything e, images i WHERE i.collection_id = collection
    ), waiting AS (
        SELECT k.key, min(k.changed_at) AS changed_at
        FROM (SELECT * FROM named UNION ALL SELECT * FROM known) k GROUP BY k.key
    ), too_long AS (
        INSERT INTO failures (collection_id, path, version, reason, message)
        SELECT collection, left(w.key, 200) || '... ' || md5(w.key), '', 'UnreadableImage',
               'a key may have 2,000 bytes at most'
        FROM waiting w WHERE octet_length(w.key) > longest
        -- The time of this transaction, by which a worker counts the failures that it recorded.
        ON CONFLICT ON CONSTRAINT failures_pkey DO UPDATE SET failed_at = now()
    )
    INSERT INTO queue AS q (collection_id, key, enqueued_at)
    SELECT collection, w.key, w.changed_at FROM waiting w
    WHERE octet_length(w.key) <= longest ORDER BY w.key
    ON CONFLICT (collection_id, key) DO UPDATE
    SET lease = NULL, due_at = now(), attempts = 0, lost = 0,
        rejected = NULL, rejections = 0, rejected_since = NULL;
    GET DIAGNOSTICS n_keys = ROW_COUNT;
    DELETE FROM source_changes c WHERE c.id = ANY (taken);
    RETURN n_keys;
END
$$;

COMMENT ON FUNCTION spocdb.take_in(bigint) IS
    'Take the changes that triggers recorded into the queue, each row once; returns how many rows';

REVOKE ALL ON FUNCTION spocdb.take_in(bigint) FROM PUBLIC;
