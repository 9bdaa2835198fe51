CREATE OR REPLACE FUNCTION spocdb.repartition(collection bigint, partitions integer)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made record;
BEGIN
    PERFORM FROM collections c WHERE c.id = repartition.collection FOR UPDATE;
    UPDATE collections c SET partitions = repartition.partitions WHERE c.id = repartition.collection;
    -- Replaces the view by itself: that locks it before the tables, as a search does.
    PERFORM refresh_view(repartition.collection);
    -- A search that waits here has an older snapshot. It sees what an earlier transaction copied, and not the few rows
    -- that this one adds.
    FOR made IN
        SELECT t.projection_id AS projection, embedding_table(t.collection_id, t.projection_id) AS name
        FROM embedding_tables t WHERE t.collection_id = repartition.collection ORDER BY t.projection_id
    LOOP
        EXECUTE format('LOCK TABLE spocdb.%I IN ACCESS EXCLUSIVE MODE', made.name);
        IF to_regclass(format('spocdb.%I', made.name || '_new')) IS NULL THEN
            PERFORM make_embedding_table(repartition.collection, made.projection, made.name || '_new',
                                         repartition.partitions);
        END IF;
        EXECUTE format(
            'DELETE FROM spocdb.%1$I n WHERE NOT EXISTS (
                 SELECT FROM spocdb.%2$I e
                 WHERE e.image_id = n.image_id AND e.embedding OPERATOR(@extschema:vector@.=) n.embedding);
             INSERT INTO spocdb.%1$I SELECT * FROM spocdb.%2$I e
             WHERE NOT EXISTS (SELECT FROM spocdb.%1$I n WHERE n.image_id = e.image_id);
             ALTER TABLE spocdb.%2$I RENAME TO %3$I;
             ALTER INDEX spocdb.%4$I RENAME TO %5$I;
             ALTER TABLE spocdb.%1$I RENAME TO %2$I;
             ALTER INDEX spocdb.%6$I RENAME TO %4$I',
            made.name || '_new', made.name, made.name || '_old', made.name || '_pkey', made.name || '_old_pkey',
            made.name || '_new_pkey');
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
    'Put the tables of spocdb.copy_embeddings in the place of a collection''s, with what changed since; they have no index';
