CREATE OR REPLACE FUNCTION spocdb.note_duplicates()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    -- Most databases have no search.
    IF NOT EXISTS (SELECT FROM duplicate_searches) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO duplicate_changes (collection_id, projection_id, sha256)
        SELECT s.collection_id, s.projection_id, c.sha256
        FROM duplicate_searches s, unnest(ARRAY[OLD.sha256, NEW.sha256]) c (sha256)
        WHERE s.collection_id = NEW.collection_id;
    ELSE
        INSERT INTO duplicate_changes (collection_id, projection_id, sha256)
        SELECT DISTINCT s.collection_id, s.projection_id, c.sha256
        FROM changed c JOIN duplicate_searches s USING (collection_id);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION spocdb.note_duplicates() IS
    'Trigger: note contents that are new, changed or gone, to be compared';

REVOKE ALL ON FUNCTION spocdb.note_duplicates() FROM PUBLIC;

DO $$
BEGIN
    -- Only where they are missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'note_added_duplicates') THEN
        CREATE TRIGGER note_added_duplicates
            AFTER INSERT ON spocdb.images
            REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION spocdb.note_duplicates();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'note_deleted_duplicates') THEN
        CREATE TRIGGER note_deleted_duplicates
            AFTER DELETE ON spocdb.images
            REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION spocdb.note_duplicates();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'note_changed_duplicates') THEN
        CREATE TRIGGER note_changed_duplicates
            AFTER UPDATE OF sha256 ON spocdb.images
            FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256) EXECUTE FUNCTION spocdb.note_duplicates();
    END IF;
END
$$;
