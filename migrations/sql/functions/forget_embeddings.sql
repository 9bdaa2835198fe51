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
    'Trigger: delete the embeddings of deleted images';

-- Not a foreign key with ON DELETE CASCADE: deleting an image would check every embedding table of every
-- collection, and making or dropping a table would lock the images of all of them.
DO $$
BEGIN
    -- Only where it is missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'forget_embeddings') THEN
        CREATE TRIGGER forget_embeddings
            AFTER DELETE ON spocdb.images
            REFERENCING OLD TABLE AS deleted
            FOR EACH STATEMENT EXECUTE FUNCTION spocdb.forget_embeddings();
    END IF;
END
$$;
