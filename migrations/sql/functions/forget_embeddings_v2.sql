CREATE OR REPLACE FUNCTION spocdb.forget_embeddings()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    table_name text;
BEGIN
    FOR table_name IN
        SELECT embedding_table(t.collection_id, t.projection_id) FROM embedding_tables t
        WHERE t.collection_id IN (SELECT d.collection_id FROM deleted d)
    LOOP
        EXECUTE format('DELETE FROM spocdb.%I e USING deleted d WHERE e.image_id = d.id', table_name);
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION spocdb.forget_embeddings() IS
    'Trigger: an image that is deleted takes its embeddings along';
