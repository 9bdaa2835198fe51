CREATE OR REPLACE FUNCTION spocdb.drop_collection(collection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    view_name text;
    projected bigint;
BEGIN
    PERFORM remove_source(collection);
    SELECT c.name INTO STRICT view_name FROM collections c WHERE c.id = collection FOR UPDATE;
    EXECUTE format('DROP VIEW spocdb.%I', view_name);
    UPDATE collections c SET active_projection_id = NULL WHERE c.id = collection;
    FOR projected IN SELECT t.projection_id FROM embedding_tables t WHERE t.collection_id = collection
    LOOP
        PERFORM drop_embedding_table(collection, projected);
    END LOOP;
    DELETE FROM collections c WHERE c.id = collection;
END
$$;

COMMENT ON FUNCTION spocdb.drop_collection(bigint) IS
    'Drop a collection with its view, embeddings, images and failures, and the triggers of an attached table; raw descriptors stay for reuse';
