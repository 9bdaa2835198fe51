CREATE OR REPLACE FUNCTION spocdb.attach(
    relation      regclass,
    key           text,
    image         text,
    collection    text DEFAULT NULL,
    extractor     text DEFAULT NULL,
    root          text DEFAULT NULL,
    urls          boolean DEFAULT false,
    condition     text DEFAULT NULL,
    metadata      text[] DEFAULT '{}',
    allow_private boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- Of pgvector's HNSW; measured, see spocdb/db/indexes.py.
    index_options CONSTANT text := 'm = 24, ef_construction = 128';
    key_type      text;
    kind          text;
    bad           text;
    extractor_id  bigint;
    target        bigint;
    attached      regclass;
    made          record;
BEGIN
    SELECT coalesce(collection, c.relname) INTO STRICT collection FROM pg_class c WHERE c.oid = relation;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind = 'r' AND c.relpersistence <> 't'
                   AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'spocdb'::regnamespace)) THEN
        RAISE EXCEPTION '% is no ordinary table', relation
            USING ERRCODE = 'invalid_name', HINT = 'attach a table, not a view, a partitioned or a foreign one';
    END IF;
    -- What is written to a parent fires no trigger of a statement on its children, and the other way round.
    IF EXISTS (SELECT FROM pg_inherits i WHERE relation IN (i.inhrelid, i.inhparent)) THEN
        RAISE EXCEPTION '% has rows that come by another table', relation USING ERRCODE = 'invalid_name',
            HINT = 'a partition, or a table that inherits or is inherited from, cannot be attached';
    END IF;
    SELECT string_agg(quote_ident(wanted), ', ') INTO bad
    FROM unnest(ARRAY[key, image] || coalesce(metadata, '{}')) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = wanted
                      AND a.attnum > 0 AND NOT a.attisdropped);
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION '% has no column %', relation, bad USING ERRCODE = 'invalid_name',
            HINT = 'it has ' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                                 FROM pg_attribute a
                                 WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped);
    END IF;

    SELECT format_type(a.atttypid, NULL) INTO key_type
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = key;
    IF key_type NOT IN ('smallint', 'integer', 'bigint', 'uuid', 'text', 'character varying') THEN
        RAISE EXCEPTION '%.% is a %', relation, quote_ident(key), key_type
            USING ERRCODE = 'invalid_name', HINT = 'a key is an integer, a uuid or text';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
        WHERE x.indrelid = relation AND a.attname = key AND a.attnotnull AND x.indnkeyatts = 1
          AND x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL) THEN
        RAISE EXCEPTION '%.% does not name a row by itself', relation, quote_ident(key)
            USING ERRCODE = 'invalid_name',
                  HINT = 'a key is one column, NOT NULL and UNIQUE; composite keys cannot be attached';
    END IF;

    IF EXISTS (SELECT FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation
               WHERE a.attrelid = relation AND a.attname = key AND NOT c.collisdeterministic) THEN
        RAISE EXCEPTION '%.% has a collation that takes different keys for equal', relation, quote_ident(key)
            USING ERRCODE = 'invalid_name', HINT = 'a key of text has a deterministic collation';
    END IF;

    SELECT CASE WHEN a.atttypid = 'bytea'::regtype THEN 'bytes'
                WHEN t.typcategory <> 'S' THEN 'neither'
                WHEN urls AND root IS NULL THEN 'url'
                WHEN root IS NOT NULL AND NOT urls THEN 'path' ELSE 'unknown' END
    INTO kind
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = relation AND a.attname = image;
    IF kind = 'neither' THEN
        RAISE EXCEPTION '%.% is neither text nor bytea', relation, quote_ident(image)
            USING ERRCODE = 'invalid_name', HINT = 'an image is a path, a URL or the bytes of a file';
    ELSIF kind = 'unknown' THEN
        RAISE EXCEPTION '%.% is text', relation, quote_ident(image) USING ERRCODE = 'invalid_name',
            HINT = 'say what it holds: paths below a root folder (--root FOLDER), or else URLs (--urls)';
    ELSIF kind = 'bytes' AND (urls OR root IS NOT NULL) THEN
        RAISE EXCEPTION '%.% is bytea: it holds images themselves', relation, quote_ident(image)
            USING ERRCODE = 'invalid_name', HINT = 'leave out root and urls';
    ELSIF root NOT LIKE '/%' THEN
        RAISE EXCEPTION 'the root % is no absolute path', quote_literal(root) USING ERRCODE = 'invalid_name',
            HINT = 'every worker reads below the same folder, wherever it was started';
    ELSIF cardinality(metadata) > 50 THEN
        RAISE EXCEPTION 'at most 50 columns can be metadata' USING ERRCODE = 'invalid_name';
    END IF;

    -- What a worker does to the table it does as the owner of spocdb.
    SELECT string_agg(wanted, ', ') INTO bad
    FROM unnest(ARRAY['SELECT', 'UPDATE', 'TRIGGER']) AS wanted
    WHERE NOT CASE wanted WHEN 'UPDATE' THEN has_any_column_privilege(owner(), relation, wanted)
                          ELSE has_table_privilege(owner(), relation, wanted) END;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'the role %, which owns spocdb, may not % %', owner(), bad, relation
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('run GRANT SELECT, UPDATE (%I), TRIGGER ON %s TO %s (UPDATE to lock rows, which it never changes)',
                                key, relation, owner());
    END IF;

    -- Rows that a policy hid would be taken for deleted ones.
    IF (SELECT c.relrowsecurity AND NOT (r.rolsuper OR r.rolbypassrls)
               AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
        FROM pg_class c, pg_roles r WHERE c.oid = relation AND r.oid = owner()) THEN
        RAISE EXCEPTION 'row-level security hides rows of % from the role %, which owns spocdb', relation, owner()
            USING ERRCODE = 'insufficient_privilege', HINT = format('run ALTER ROLE %s BYPASSRLS', owner());
    END IF;

    SELECT c.id, s.relation INTO target, attached
    FROM collections c LEFT JOIN sources s ON s.collection_id = c.id WHERE c.name = collection;
    IF target IS NOT NULL AND attached IS DISTINCT FROM relation THEN
        RAISE EXCEPTION 'there is a collection % already, %', quote_ident(collection),
            CASE WHEN attached IS NULL THEN 'of files'
                 WHEN EXISTS (SELECT FROM pg_class c WHERE c.oid = attached) THEN 'attached to ' || attached
                 ELSE 'of a table that was dropped' END
            USING ERRCODE = 'invalid_name',
                  HINT = 'choose another name with --collection, or detach or drop that one first';
    END IF;
    IF target IS NULL THEN
        SELECT e.id INTO extractor_id FROM extractors e
        WHERE e.name = extractor OR (extractor IS NULL AND (SELECT count(*) FROM extractors) = 1);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no extractor %', coalesce(quote_ident(extractor), 'yet, or more than one')
                USING ERRCODE = 'invalid_name',
                      HINT = 'name one of SELECT name FROM spocdb.extractors; `spocdb attach` makes one';
        END IF;
        target := create_collection(collection, extractor_id);
        -- An index that is there from the start needs nobody who may build one later.
        SELECT embedding_table(t.collection_id, t.projection_id) AS name, t.index_type, p.dim INTO made
        FROM embedding_tables t JOIN projections p ON p.id = t.projection_id WHERE t.collection_id = target;
        EXECUTE format('CREATE INDEX %1$I ON spocdb.%2$I
                        USING hnsw ((embedding::@extschema:vector@.%3$s(%4$s)) @extschema:vector@.%3$s_ip_ops) WITH (%5$s)',
                       made.name || '_hnsw', made.name, made.index_type, made.dim, index_options);
    END IF;
    -- No worker writes rows by their old keys meanwhile.
    PERFORM FROM collections c WHERE c.id = target FOR UPDATE;

    INSERT INTO sources AS s (collection_id, relation, key_column, key_type, image_column, kind, root,
                              condition, metadata, allow_private)
    VALUES (target, relation, key, key_type, image, kind, root, condition, coalesce(metadata, '{}'), allow_private)
    ON CONFLICT (collection_id) DO UPDATE
    SET key_column = excluded.key_column, key_type = excluded.key_type, image_column = excluded.image_column,
        kind = excluded.kind, root = excluded.root, condition = excluded.condition,
        metadata = excluded.metadata, allow_private = excluded.allow_private;
    PERFORM add_triggers(target);
    PERFORM refresh_view(target);
    -- All that waited is looked at anyway, and old keys need not be of the new key's type.
    PERFORM FROM queue q WHERE q.collection_id = target ORDER BY q.key FOR UPDATE;
    DELETE FROM queue q WHERE q.collection_id = target;
    DELETE FROM source_changes c WHERE c.collection_id = target;
    INSERT INTO source_changes (collection_id, keys) VALUES (target, NULL);
    PERFORM pg_notify('spocdb', '');
    RETURN target;
END
$$;

COMMENT ON FUNCTION spocdb.attach(regclass, text, text, text, text, text, boolean, text, text[], boolean) IS
    'Make a collection of a table''s rows, kept true by triggers and workers; again, it takes other settings and looks at every row anew';
