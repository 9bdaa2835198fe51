CREATE OR REPLACE FUNCTION spocdb.create_collection(name text, extractor bigint, partitions integer DEFAULT 1)
RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    collection bigint;
    raw        bigint;
BEGIN
    IF octet_length(name) NOT BETWEEN 1 AND 63 THEN
        RAISE EXCEPTION 'a collection''s name has 1 to 63 bytes, this one has %: choose another', octet_length(name)
            USING ERRCODE = 'invalid_name';
    END IF;
    -- The collection's view has the same name, which must be free now and in later versions.
    IF to_regclass(format('spocdb.%I', name)) IS NOT NULL OR name LIKE 'embeddings\_%' OR name LIKE 'images\_key\_%'
       OR name IN ('decisions', 'duplicates') THEN
        RAISE EXCEPTION 'the name % is taken by spocdb''s own tables: choose another', quote_ident(name)
            USING ERRCODE = 'reserved_name';
    END IF;
    SELECT p.id INTO STRICT raw FROM projections p WHERE p.extractor_id = extractor AND p.kind = 'raw';
    INSERT INTO collections AS c (name, extractor_id, partitions)
    VALUES (create_collection.name, extractor, create_collection.partitions)
    RETURNING c.id INTO collection;
    PERFORM add_embedding_table(collection, raw);
    PERFORM activate(collection, raw);
    RETURN collection;
END
$$;

COMMENT ON FUNCTION spocdb.create_collection(text, bigint, integer) IS
    'Make an empty collection bound to an extractor, embedded by its raw projection, with its view; partitions: how many tables hold its embeddings';
