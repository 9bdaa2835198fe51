CREATE OR REPLACE FUNCTION spocdb.retry(collection text, keys text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    target bigint;
    n_rows bigint;
BEGIN
    SELECT s.collection_id INTO target
    FROM sources s JOIN collections c ON c.id = s.collection_id WHERE c.name = retry.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no table is attached as %', quote_ident(retry.collection)
            USING ERRCODE = 'undefined_object', HINT = 'see `spocdb status`';
    END IF;
    WITH failed AS (
        DELETE FROM failures f
        WHERE f.collection_id = target AND (retry.keys IS NULL OR f.path = ANY (retry.keys))
        RETURNING f.path
    )
    INSERT INTO queue (collection_id, key, enqueued_at)
    SELECT target, f.path, now() FROM failed f ORDER BY f.path
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n_rows = ROW_COUNT;
    PERFORM pg_notify('spocdb', '');
    RETURN n_rows;
END
$$;

COMMENT ON FUNCTION spocdb.retry(text, text[]) IS
    'Put failed rows of an attached table into the queue again, all or those named; returns how many';
