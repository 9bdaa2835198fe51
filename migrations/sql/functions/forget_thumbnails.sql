CREATE OR REPLACE FUNCTION spocdb.forget_thumbnails()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    -- Locks no thumbnail that stays, so that transactions of applications never wait for each other here.
    -- If two of them delete the last two images of some bytes at once, each sees the other's image and the
    -- thumbnail stays: the next worker, or ingest that prunes, deletes it.
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM thumbnails t
        WHERE t.sha256 = OLD.sha256 AND NOT EXISTS (SELECT FROM images i WHERE i.sha256 = OLD.sha256);
    ELSE
        DELETE FROM thumbnails t USING (SELECT DISTINCT d.sha256 FROM deleted d) d
        WHERE t.sha256 = d.sha256 AND NOT EXISTS (SELECT FROM images i WHERE i.sha256 = d.sha256);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION spocdb.forget_thumbnails() IS
    'Trigger: delete the thumbnails of bytes that no image has any more';

DO $$
BEGIN
    -- Only where they are missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'forget_thumbnails') THEN
        CREATE TRIGGER forget_thumbnails
            AFTER DELETE ON spocdb.images
            REFERENCING OLD TABLE AS deleted
            FOR EACH STATEMENT EXECUTE FUNCTION spocdb.forget_thumbnails();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'forget_replaced_thumbnail') THEN
        CREATE TRIGGER forget_replaced_thumbnail
            AFTER UPDATE OF sha256 ON spocdb.images
            FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256) EXECUTE FUNCTION spocdb.forget_thumbnails();
    END IF;
END
$$;
