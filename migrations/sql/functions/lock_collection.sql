CREATE OR REPLACE FUNCTION spocdb.lock_collection(collection bigint)
RETURNS bigint
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$ SELECT c.extractor_id FROM collections c WHERE c.id = collection FOR SHARE $$;

COMMENT ON FUNCTION spocdb.lock_collection(bigint) IS
    'Lock a collection''s row FOR SHARE until the transaction ends, against activating or adding a projection; returns the extractor, NULL if there is no such collection';

REVOKE ALL ON FUNCTION spocdb.lock_collection(bigint) FROM PUBLIC;
