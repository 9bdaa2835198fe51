CREATE OR REPLACE FUNCTION spocdb.count_coverage()
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
    found record;
BEGIN
    FOR found IN
        SELECT c.id, c.name, t.projection_id, t.projection_id = c.active_projection_id AS active,
               s.relation, s.collection_id IS NOT NULL AS is_attached,
               embedding_table(c.id, t.projection_id) AS table_name
        FROM collections c JOIN embedding_tables t ON t.collection_id = c.id
        LEFT JOIN sources s ON s.collection_id = c.id ORDER BY c.name, t.projection_id
    LOOP
        collection := found.name;
        projection := found.projection_id;
        active := found.active;
        relation := found.relation::text;
        problem := NULL;
        EXECUTE format('SELECT count(*) FROM spocdb.%I', found.table_name) INTO embedded;
        SELECT count(*) INTO failed FROM failures f WHERE f.collection_id = found.id;
        IF found.is_attached THEN
            BEGIN
                SELECT count(*) INTO rows FROM source_keys(found.id);
            EXCEPTION WHEN OTHERS THEN
                rows := NULL;
                problem := SQLERRM;
            END;
            WITH waiting AS (
                SELECT q.key, q.enqueued_at AS since FROM queue q
                WHERE q.collection_id = found.id AND NOT (q.lease IS NOT NULL AND q.due_at > now())
                UNION ALL
                SELECT unnest(c.keys), c.changed_at FROM source_changes c WHERE c.collection_id = found.id
            ), everything AS (
                SELECT k.key, e.since
                FROM (SELECT min(c.changed_at) AS since FROM source_changes c
                      WHERE c.collection_id = found.id AND c.keys IS NULL HAVING count(*) > 0) e,
                     source_keys(found.id) AS k (key)
                WHERE problem IS NULL
            )
            SELECT count(DISTINCT w.key), now() - min(w.since) INTO pending, oldest_pending
            FROM (SELECT * FROM waiting UNION ALL SELECT * FROM everything) w;
            SELECT count(*) INTO leased FROM queue q
            WHERE q.collection_id = found.id AND q.lease IS NOT NULL AND q.due_at > now();
        ELSE
            SELECT count(*) INTO rows FROM images i WHERE i.collection_id = found.id;
            pending := rows - embedded;
            leased := 0;
            oldest_pending := NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.count_coverage() IS
    'What spocdb.coverage shows; counts exactly, so it reads every row';

REVOKE ALL ON FUNCTION spocdb.count_coverage() FROM PUBLIC;

CREATE VIEW spocdb.coverage AS SELECT * FROM spocdb.count_coverage();
COMMENT ON VIEW spocdb.coverage IS
    'How far each collection is by each of its projections: rows that belong to it, embedded ones, waiting, with a worker, given up';
