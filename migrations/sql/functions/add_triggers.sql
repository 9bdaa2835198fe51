CREATE OR REPLACE FUNCTION spocdb.add_triggers(collection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
-- Hides the notice that there was no index to drop.
SET client_min_messages = warning
-- Shorter than deadlock_timeout (1 s): an application that holds a read lock on the table may wait for this
-- transaction. This statement then times out before PostgreSQL could end the application's transaction.
SET lock_timeout = '800ms'
AS $$
DECLARE
    source      record;
    watched     text[];
    differences text;
    body        text;
    enqueue     text := format('spocdb.enqueue_%s', collection);
    parted      boolean;
    level       text;
BEGIN
    SELECT s.* INTO STRICT source FROM sources s WHERE s.collection_id = collection;
    SELECT c.relkind = 'p' INTO STRICT parted FROM pg_class c WHERE c.oid = source.relation;
    watched := source.metadata || columns_of(source.relation, source.condition) || source.image_column;
    -- Compared byte by byte: some types have no equality, or one that ignores differences. Besides, no cast
    -- or operator of an application's own type runs with the rights of this function.
    SELECT format('ROW(%s)::record *<> ROW(%s)::record', string_agg(format('OLD.%I', w), ', '), string_agg(format('NEW.%I', w), ', '))
    INTO differences FROM (SELECT DISTINCT unnest(watched) AS w) x;

    body := format($body$
#variable_conflict use_variable
DECLARE
    most    CONSTANT integer := 1000000;
    changed text[] := '{}';
    gone    text[] := '{}';
BEGIN
    -- A renamed or altered column must not make the application's write fail: `changed` is then
    -- NULL, which stands for any row. This block writes nothing, so it uses no transaction id.
    BEGIN
        IF TG_OP = 'DELETE' AND TG_LEVEL = 'STATEMENT' THEN
            gone := ARRAY(SELECT concat(o.%1$I) FROM old_rows o);
        ELSIF TG_OP = 'DELETE' THEN
            gone := ARRAY[concat(OLD.%1$I)];
        ELSIF TG_OP = 'INSERT' AND TG_LEVEL = 'STATEMENT' THEN
            changed := ARRAY(SELECT concat(n.%1$I) FROM new_rows n LIMIT most + 1);
            changed := CASE WHEN cardinality(changed) <= most THEN changed END;
        ELSIF TG_OP = 'INSERT' THEN
            changed := ARRAY[concat(NEW.%1$I)];
        ELSIF TG_OP = 'UPDATE' AND ROW(OLD.%1$I)::record *<> ROW(NEW.%1$I)::record THEN
            gone := ARRAY[concat(OLD.%1$I)];
            changed := ARRAY[concat(NEW.%1$I)];
        ELSIF TG_OP = 'UPDATE' AND %2$s THEN
            changed := ARRAY[concat(NEW.%1$I)];
        ELSIF TG_OP = 'UPDATE' THEN
            RETURN NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        changed := NULL;
    END;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM spocdb.images WHERE collection_id = %3$s;
        DELETE FROM spocdb.failures WHERE collection_id = %3$s;
    ELSIF cardinality(gone) > 0 THEN
        DELETE FROM spocdb.images WHERE collection_id = %3$s AND path = ANY (gone);
        -- spocdb.take_in shortens a key that is too long for an index.
        DELETE FROM spocdb.failures WHERE collection_id = %3$s AND path = ANY (ARRAY(
            SELECT CASE WHEN octet_length(g.key) > 2000 THEN left(g.key, 200) || '... ' || md5(g.key) ELSE g.key END
            FROM unnest(gone) AS g (key)));
    END IF;
    -- At these isolation levels the DELETE does not see images that workers added since the snapshot.
    -- The keys are recorded as changed, so that workers check them again.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        changed := CASE WHEN TG_OP <> 'TRUNCATE' AND changed IS NOT NULL AND cardinality(gone) <= most
                   THEN changed || gone END;
    END IF;
    IF cardinality(changed) = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO spocdb.source_changes (collection_id, keys) VALUES (%3$s, changed);
    PERFORM pg_notify('spocdb', '');
    RETURN NULL;
END
$body$, source.key_column, differences, collection);
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION %1$s() RETURNS trigger
         LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %2$L;
         COMMENT ON FUNCTION %1$s() IS %3$L;
         ALTER FUNCTION %1$s() OWNER TO %4$s;
         REVOKE ALL ON FUNCTION %1$s() FROM PUBLIC',
        enqueue, body, format('Trigger: notes what changed in %s for its collection', source.relation), owner());

    -- One trigger per statement costs less than one per row, but would copy the images of the rows. Those of a
    -- partitioned table would miss what is written to a partition, which has its row triggers too.
    level := CASE WHEN source.kind = 'bytes' OR parted THEN 'FOR EACH ROW'
             ELSE 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT' END;
    IF parted THEN
        -- Whoever makes a partition makes its triggers.
        EXECUTE (SELECT format('GRANT EXECUTE ON FUNCTION %s() TO %s', enqueue, c.relowner::regrole)
                 FROM pg_class c WHERE c.oid = source.relation);
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %s %s EXECUTE FUNCTION %s()',
                   format('spocdb_%s_insert', collection), source.relation, level, enqueue);
    -- UPDATE OF columns saves comparing the images of an update that does not name them. PostgreSQL then
    -- refuses to alter the types of these columns, so text columns get no list. Nor does a table whose own
    -- triggers, or those of partitions, may change an image that the update does not name.
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE %s ON %s FOR EACH ROW EXECUTE FUNCTION %s()',
                   format('spocdb_%s_update', collection),
                   CASE WHEN source.kind = 'bytes' AND NOT parted AND NOT EXISTS (
                       -- FOR EACH ROW (1), BEFORE (2), UPDATE (16)
                       SELECT FROM pg_trigger t
                       WHERE t.tgrelid = source.relation AND NOT t.tgisinternal AND t.tgtype & 19 = 19) THEN (
                       SELECT 'OF ' || string_agg(DISTINCT quote_ident(w), ', ')
                       FROM unnest(watched || source.key_column) AS w) END,
                   source.relation, enqueue);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON %s %s EXECUTE FUNCTION %s()',
                   format('spocdb_%s_delete', collection), source.relation,
                   CASE WHEN parted THEN 'FOR EACH ROW'
                        ELSE 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT' END, enqueue);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()',
                   format('spocdb_%s_truncate', collection), source.relation, enqueue);
    -- An index for finding images by key. A text key needs none, because it is the path itself.
    IF NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = to_regclass(format('spocdb.images_key_%s', collection))
          AND format_type(a.atttypid, NULL) = source.key_type) THEN
        EXECUTE format('DROP INDEX IF EXISTS spocdb.images_key_%s', collection);
    END IF;
    IF source.key_type NOT IN ('text', 'character varying') THEN
        BEGIN
            EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS images_key_%1$s ON spocdb.images ((path::%2$s)) WHERE collection_id = %1$s',
                           collection, source.key_type);
        EXCEPTION WHEN data_exception OR unique_violation THEN
            -- Deleting these images would not help: a new index also holds rows that older snapshots see.
            RAISE EXCEPTION 'the collection was made with another key, whose values are not of type %', source.key_type
                USING ERRCODE = 'invalid_name', HINT = 'run `spocdb.detach(...)` first, or choose another name with `collection=...`';
        END;
    END IF;
END
$$;

COMMENT ON FUNCTION spocdb.add_triggers(bigint) IS
    'Create the triggers of an attached table, which record its changes and delete the embeddings of deleted rows';
