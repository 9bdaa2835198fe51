CREATE OR REPLACE FUNCTION spocdb.copy_embeddings(collection bigint, partitions integer)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT t.projection_id AS projection, embedding_table(t.collection_id, t.projection_id) AS name
        FROM embedding_tables t WHERE t.collection_id = copy_embeddings.collection ORDER BY t.projection_id
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS spocdb.%I', made.name || '_new');
        PERFORM make_embedding_table(collection, made.projection, made.name || '_new', partitions);
        EXECUTE format('INSERT INTO spocdb.%I SELECT * FROM spocdb.%I', made.name || '_new', made.name);
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.copy_embeddings(bigint, integer) IS
    'Copy the embeddings of a collection into another number of tables, which spocdb.repartition then puts in place; searches and writers go on';
