CREATE OR REPLACE FUNCTION spocdb.note_reordered()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    -- Most databases have no search. Metadata count if the rule names a key of them; every rule ends with the path.
    IF NOT EXISTS (
        SELECT FROM duplicate_searches s
        WHERE s.collection_id = NEW.collection_id
          AND (s.keep LIKE '%key:%'
               OR ROW(OLD.path, OLD.ingested_at, OLD.size, OLD.width, OLD.height)
                  <> ROW(NEW.path, NEW.ingested_at, NEW.size, NEW.width, NEW.height))) THEN
        RETURN NULL;
    END IF;
    -- Only contents that are near others, or in a group.
    INSERT INTO duplicate_changes (collection_id, projection_id, sha256, is_compared)
    SELECT s.collection_id, s.projection_id, NEW.sha256, true
    FROM duplicate_searches s
    WHERE s.collection_id = NEW.collection_id
      AND (EXISTS (SELECT FROM duplicate_members m
                   WHERE m.collection_id = s.collection_id AND m.projection_id = s.projection_id
                     AND m.image_id = NEW.id)
           OR EXISTS (SELECT FROM duplicate_pairs p
                      WHERE p.collection_id = s.collection_id AND p.projection_id = s.projection_id
                        AND p.a = NEW.sha256)
           OR EXISTS (SELECT FROM duplicate_pairs p
                      WHERE p.collection_id = s.collection_id AND p.projection_id = s.projection_id
                        AND p.b = NEW.sha256));
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION spocdb.note_reordered() IS
    'Trigger: note contents to be grouped, because what the keeper rule looks at has changed';

REVOKE ALL ON FUNCTION spocdb.note_reordered() FROM PUBLIC;

DO $$
BEGIN
    -- Only where it is missing: CREATE TRIGGER locks the table against writers.
    IF NOT EXISTS (SELECT FROM pg_trigger t
                   WHERE t.tgrelid = 'spocdb.images'::regclass AND t.tgname = 'note_reordered_duplicates') THEN
        -- Inserted images are noted to be compared, and so are those with other bytes.
        CREATE TRIGGER note_reordered_duplicates
            AFTER UPDATE OF path, ingested_at, metadata, size, width, height ON spocdb.images
            FOR EACH ROW WHEN (OLD.sha256 = NEW.sha256
                AND ROW(OLD.path, OLD.ingested_at, OLD.metadata, OLD.size, OLD.width, OLD.height)
                    <> ROW(NEW.path, NEW.ingested_at, NEW.metadata, NEW.size, NEW.width, NEW.height))
            EXECUTE FUNCTION spocdb.note_reordered();
    END IF;
END
$$;
