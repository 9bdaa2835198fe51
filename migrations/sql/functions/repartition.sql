CREATE OR REPLACE FUNCTION spocdb.repartition(collection bigint, partitions integer)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made record;
BEGIN
    -- Blocks writers and, below, searches, until the commit.
    PERFORM FROM collections c WHERE c.id = repartition.collection FOR UPDATE;
    UPDATE collections c SET partitions = repartition.partitions
    WHERE c.id = repartition.collection AND c.partitions <> repartition.partitions;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- Replaces the view by itself: that locks it before the tables, as a search does.
    PERFORM refresh_view(repartition.collection);
    FOR made IN
        SELECT t.projection_id AS projection, embedding_table(t.collection_id, t.projection_id) AS name
        FROM embedding_tables t WHERE t.collection_id = repartition.collection ORDER BY t.projection_id
    LOOP
        EXECUTE format('ALTER TABLE spocdb.%1$I RENAME TO %2$I; ALTER INDEX spocdb.%3$I RENAME TO %4$I',
                       made.name, made.name || '_old', made.name || '_pkey', made.name || '_old_pkey');
        PERFORM make_embedding_table(repartition.collection, made.projection);
        EXECUTE format('INSERT INTO spocdb.%I SELECT * FROM spocdb.%I', made.name, made.name || '_old');
    END LOOP;
    PERFORM refresh_view(repartition.collection);
    FOR made IN
        SELECT embedding_table(t.collection_id, t.projection_id) AS name
        FROM embedding_tables t WHERE t.collection_id = repartition.collection
    LOOP
        EXECUTE format('DROP TABLE spocdb.%I', made.name || '_old');
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.repartition(bigint, integer) IS
    'Move the embeddings of a collection into another number of tables; they have no index afterwards';
