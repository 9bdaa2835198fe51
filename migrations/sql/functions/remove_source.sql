CREATE OR REPLACE FUNCTION spocdb.remove_source(collection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
SET client_min_messages = warning
-- As in spocdb.add_triggers.
SET lock_timeout = '800ms'
AS $$
BEGIN
    -- First of all: who holds the table cannot be waiting for anything of its collection. CASCADE takes
    -- the triggers, which by themselves only the table's owner might drop.
    EXECUTE format('DROP FUNCTION IF EXISTS spocdb.enqueue_%s() CASCADE', collection);
    EXECUTE format('DROP INDEX IF EXISTS spocdb.images_key_%s', collection);
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    DELETE FROM queue q WHERE q.collection_id = collection;
    DELETE FROM source_changes c WHERE c.collection_id = collection;
    DELETE FROM sources s WHERE s.collection_id = collection;
END
$$;

COMMENT ON FUNCTION spocdb.remove_source(bigint) IS
    'Take the triggers off an attached table and forget what it had to do';
