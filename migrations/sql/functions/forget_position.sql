CREATE OR REPLACE FUNCTION spocdb.forget_position()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    DELETE FROM map_positions p WHERE p.image_id = OLD.id;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION spocdb.forget_position() IS
    'Trigger: delete the positions on maps of an image whose bytes changed';

REVOKE ALL ON FUNCTION spocdb.forget_position() FROM PUBLIC;

DO $$
BEGIN
    -- Only where it is missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'forget_position') THEN
        CREATE TRIGGER forget_position
            AFTER UPDATE OF sha256 ON spocdb.images
            FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256) EXECUTE FUNCTION spocdb.forget_position();
    END IF;
END
$$;
