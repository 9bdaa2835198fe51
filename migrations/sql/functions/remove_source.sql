CREATE OR REPLACE FUNCTION spocdb.remove_source(collection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
SET client_min_messages = warning
-- As in spocdb.add_triggers.
SET lock_timeout = '800ms'
AS $$
BEGIN
    -- First, while this transaction holds no lock on the collection that a holder of the table could wait
    -- for. CASCADE drops the triggers, which otherwise only the table's owner may drop.
    EXECUTE format('DROP FUNCTION IF EXISTS spocdb.enqueue_%s() CASCADE', collection);
    EXECUTE format('DROP INDEX IF EXISTS spocdb.images_key_%s', collection);
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    DELETE FROM queue q WHERE q.collection_id = collection;
    DELETE FROM source_changes c WHERE c.collection_id = collection;
    DELETE FROM sources s WHERE s.collection_id = collection;
END
$$;

COMMENT ON FUNCTION spocdb.remove_source(bigint) IS
    'Drop the triggers, the queue and the settings of an attached table';
