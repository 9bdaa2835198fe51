CREATE OR REPLACE FUNCTION spocdb.enqueue(
    collection text,
    names      text[],
    versions   text[] DEFAULT NULL,
    sizes      bigint[] DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    -- Longer names fit no index.
    longest CONSTANT integer := 2000;
    target  bigint;
    wrong   text;
    n_names bigint;
BEGIN
    SELECT c.id INTO target FROM collections c WHERE c.name = enqueue.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection %', quote_ident(enqueue.collection)
            USING ERRCODE = 'undefined_object', HINT = '`db.enqueue(PATH)` makes one';
    END IF;
    IF EXISTS (SELECT FROM sources s WHERE s.collection_id = target) THEN
        RAISE EXCEPTION 'collection % is of the rows of a table, whose triggers fill the queue',
            quote_ident(enqueue.collection)
            USING ERRCODE = 'wrong_object_type', HINT = 'for references use another collection';
    END IF;
    SELECT coalesce(left(n.name, 200), 'NULL') INTO wrong FROM unnest(names) AS n (name)
    WHERE n.name IS NULL OR n.name = '' OR octet_length(n.name) > longest LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a name has 1 to 2,000 bytes, and not: %', wrong
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Ordered by key, as every worker takes its locks. Another version ends the lease of the earlier one.
    INSERT INTO queue AS q (collection_id, key, enqueued_at, version, size)
    SELECT DISTINCT ON (n.name) target, n.name, now(), coalesce(versions[n.i], ''), sizes[n.i]
    FROM unnest(names) WITH ORDINALITY AS n (name, i) ORDER BY n.name, n.i DESC
    ON CONFLICT (collection_id, key) DO UPDATE
    SET version = excluded.version, size = excluded.size, lease = NULL, due_at = now(), attempts = 0,
        lost = 0, rejected = NULL, rejections = 0, rejected_since = NULL
    WHERE q.version <> excluded.version;
    GET DIAGNOSTICS n_names = ROW_COUNT;
    PERFORM pg_notify('spocdb', '');
    RETURN n_names;
END
$$;

COMMENT ON FUNCTION spocdb.enqueue(text, text[], text[], bigint[]) IS
    'Put paths, URIs and archives into the queue of a collection for workers, each name once; returns how many were not there in this version. Without a version the worker finds it out';
