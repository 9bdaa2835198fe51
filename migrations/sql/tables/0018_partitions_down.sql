-- Older programs cannot build an index of several tables. Without one they compare all; `spocdb index build` makes one.
SELECT spocdb.copy_embeddings(c.id, 1) FROM spocdb.collections c WHERE c.partitions > 1;
SELECT spocdb.repartition(c.id, 1) FROM spocdb.collections c WHERE c.partitions > 1;
-- What interrupted moves left.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT spocdb.embedding_table(t.collection_id, t.projection_id) AS name FROM spocdb.embedding_tables t
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS spocdb.%I', made.name || '_new');
    END LOOP;
END $$;
ALTER TABLE spocdb.collections DROP COLUMN partitions;
DROP FUNCTION IF EXISTS spocdb.create_collection(text, bigint, integer);
