CREATE OR REPLACE FUNCTION spocdb.coverage_of(asked text)
RETURNS TABLE (
    collection text, projection bigint, active boolean, relation text, rows bigint, embedded bigint,
    pending bigint, leased bigint, failed bigint, oldest_pending interval, problem text
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET row_security = off
AS $$
#variable_conflict use_column
DECLARE
    -- Each key counts in its highest state. A key of which nothing is stored yet is pending.
    counting CONSTANT text := $count$
        WITH belonging AS MATERIALIZED (
            -- take_in shortens a key that is too long for an index.
            SELECT CASE WHEN octet_length(k.key) <= 2000 THEN k.key
                        ELSE left(k.key, 200) || '... ' || md5(k.key) END AS key
            FROM %2$s AS k (key)
        ), everything AS (
            SELECT min(c.changed_at) AS since FROM spocdb.source_changes c
            WHERE c.collection_id = $1 AND c.keys IS NULL HAVING count(*) > 0
        ), waiting AS (
            SELECT q.key, q.enqueued_at AS since FROM spocdb.queue q
            WHERE q.collection_id = $1 AND NOT (q.lease IS NOT NULL AND q.due_at > now())
            UNION ALL
            SELECT k.key, c.changed_at FROM spocdb.source_changes c, unnest(c.keys) AS k (key)
            WHERE c.collection_id = $1
            UNION ALL
            SELECT b.key, e.since FROM everything e, belonging b
            UNION ALL
            SELECT i.path, e.since FROM everything e, spocdb.images i WHERE i.collection_id = $1
        ), states AS (
            SELECT b.key, 1 AS state FROM belonging b
            UNION ALL
            SELECT i.path, CASE WHEN e.image_id IS NULL THEN 1 ELSE 2 END
            FROM spocdb.images i LEFT JOIN spocdb.%1$I e ON e.image_id = i.id WHERE i.collection_id = $1
            UNION ALL
            SELECT f.path, 3 FROM spocdb.failures f WHERE f.collection_id = $1
            UNION ALL
            SELECT w.key, 4 FROM waiting w
            UNION ALL
            SELECT q.key, 5 FROM spocdb.queue q
            WHERE q.collection_id = $1 AND q.lease IS NOT NULL AND q.due_at > now()
        )
        SELECT count(*), count(*) FILTER (WHERE k.state = 2), count(*) FILTER (WHERE k.state IN (1, 4)),
               count(*) FILTER (WHERE k.state = 5), count(*) FILTER (WHERE k.state = 3),
               (SELECT now() - min(w.since) FROM waiting w)
        FROM (SELECT s.key, max(s.state) AS state FROM states s GROUP BY s.key) k $count$;
    nothing CONSTANT text := '(SELECT NULL::text WHERE false)';
    -- Reading an attached table locks it until the transaction ends. A reader has no right to that, so its
    -- counts are of the rows that the triggers noted.
    opens   CONSTANT boolean := may_read();
    found record;
BEGIN
    FOR found IN
        SELECT c.id, c.name, t.projection_id, t.projection_id = c.active_projection_id AS active,
               s.relation, s.collection_id IS NOT NULL AND opens AS is_opened,
               embedding_table(c.id, t.projection_id) AS table_name
        FROM collections c JOIN embedding_tables t ON t.collection_id = c.id
        LEFT JOIN sources s ON s.collection_id = c.id
        WHERE (asked IS NULL OR c.name = asked) AND may_read(c.name) ORDER BY c.name, t.projection_id
    LOOP
        collection := found.name;
        projection := found.projection_id;
        active := found.active;
        relation := found.relation::text;
        problem := NULL;
        BEGIN
            EXECUTE format(counting, found.table_name,
                           CASE WHEN found.is_opened THEN 'spocdb.source_keys($1)' ELSE nothing END)
            INTO rows, embedded, pending, leased, failed, oldest_pending USING found.id;
        EXCEPTION WHEN OTHERS THEN
            problem := SQLERRM;
            EXECUTE format(counting, found.table_name, nothing)
            INTO rows, embedded, pending, leased, failed, oldest_pending USING found.id;
            rows := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.coverage_of(text) IS
    'The rows of spocdb.coverage of one collection, NULL for all that the caller may read; the counts are exact, so it reads every row of these';
