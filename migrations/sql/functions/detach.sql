CREATE OR REPLACE FUNCTION spocdb.detach(collection text)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    target    bigint;
    extractor bigint;
BEGIN
    SELECT c.id, c.extractor_id INTO target, extractor
    FROM collections c JOIN sources s ON s.collection_id = c.id WHERE c.name = detach.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no table is attached as %', quote_ident(detach.collection)
            USING ERRCODE = 'undefined_object', HINT = 'see `spocdb.count_coverage()`';
    END IF;
    PERFORM remove_source(target);
    CREATE TEMP TABLE detached_contents ON COMMIT DROP AS
        SELECT DISTINCT i.sha256 FROM images i WHERE i.collection_id = target;
    PERFORM drop_collection(target);
    -- Deletes raw descriptors that no other image uses, then the extractor if nothing uses it any more.
    DELETE FROM descriptors d USING pg_temp.detached_contents c
    WHERE d.sha256 = c.sha256 AND NOT EXISTS (SELECT FROM images i WHERE i.sha256 = c.sha256);
    DROP TABLE pg_temp.detached_contents;
    IF NOT EXISTS (SELECT FROM collections c WHERE c.extractor_id = extractor)
       AND NOT EXISTS (SELECT FROM descriptors d WHERE d.extractor_id = extractor)
       AND NOT EXISTS (SELECT FROM projections p WHERE p.extractor_id = extractor AND p.kind <> 'raw')
       AND NOT EXISTS (SELECT FROM extractors e WHERE e.id = extractor AND e.parentage IS NOT NULL) THEN
        DELETE FROM projections p WHERE p.extractor_id = extractor;
        DELETE FROM extractors e WHERE e.id = extractor;
    END IF;
END
$$;

COMMENT ON FUNCTION spocdb.detach(text) IS
    'Undo spocdb.attach: drop triggers, collection, embeddings and the raw descriptors of its own images; the table stays';
