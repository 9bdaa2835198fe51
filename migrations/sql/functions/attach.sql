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
    -- HNSW options from measurements; see spocdb/db/building.py.
    index_options CONSTANT text := 'm = 24, ef_construction = 128';
    key_type      text;
    kind          text;
    extractor_id  bigint;
    target        bigint;
    attached      regclass;
    made          record;
BEGIN
    SELECT coalesce(collection, c.relname) INTO STRICT collection FROM pg_class c WHERE c.oid = relation;
    SELECT j.key_type, j.kind INTO key_type, kind
    FROM judge_source(relation, key, image, root, urls, condition, metadata) j;
    SELECT c.id, s.relation INTO target, attached
    FROM collections c LEFT JOIN sources s ON s.collection_id = c.id WHERE c.name = collection;
    IF target IS NOT NULL AND attached IS DISTINCT FROM relation THEN
        RAISE EXCEPTION 'there is a collection % already, %', quote_ident(collection),
            CASE WHEN attached IS NULL THEN 'of files'
                 WHEN EXISTS (SELECT FROM pg_class c WHERE c.oid = attached) THEN 'attached to ' || attached
                 ELSE 'of a table that was dropped' END
            USING ERRCODE = 'invalid_name',
                  HINT = 'choose another name with `collection=...`, or detach or drop that one first';
    END IF;
    IF target IS NULL THEN
        SELECT e.id INTO extractor_id FROM extractors e
        WHERE e.name = extractor OR (extractor IS NULL AND (SELECT count(*) FROM extractors) = 1);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no extractor %', coalesce(quote_ident(extractor), 'yet, or more than one')
                USING ERRCODE = 'invalid_name',
                      HINT = 'name one of SELECT name FROM spocdb.extractors; `db.tables.attach(...)` makes one';
        END IF;
        target := create_collection(collection, extractor_id);
        -- Built while the table is empty, so that no role has to build it later. Nothing can be measured, so it is
        -- of the kind that loses nothing.
        UPDATE embedding_tables t SET kind = 'hnsw-' || t.index_type WHERE t.collection_id = target;
        SELECT embedding_table(t.collection_id, t.projection_id) AS name, t.index_type, p.dim INTO made
        FROM embedding_tables t JOIN projections p ON p.id = t.projection_id WHERE t.collection_id = target;
        EXECUTE format('CREATE INDEX %1$I ON spocdb.%2$I
                        USING hnsw ((embedding::@extschema:vector@.%3$s(%4$s)) @extschema:vector@.%3$s_ip_ops) WITH (%5$s)',
                       made.name || '_hnsw', made.name, made.index_type, made.dim, index_options);
    END IF;
    -- Blocks workers, which would write rows by their old keys.
    PERFORM FROM collections c WHERE c.id = target FOR UPDATE;

    INSERT INTO sources AS s (collection_id, relation, key_column, key_type, image_column, kind, root,
                              condition, metadata, allow_private, judged)
    VALUES (target, relation, key, key_type, image, kind, root, condition, coalesce(metadata, '{}'), allow_private,
            jsonb_build_object('condition', condition,
                               'types', types_of(relation, columns_of(relation, condition))))
    ON CONFLICT (collection_id) DO UPDATE
    SET key_column = excluded.key_column, key_type = excluded.key_type, image_column = excluded.image_column,
        kind = excluded.kind, root = excluded.root, condition = excluded.condition,
        metadata = excluded.metadata, allow_private = excluded.allow_private,
        judged = excluded.judged;
    PERFORM add_triggers(target);
    PERFORM refresh_view(target);
    -- The change without keys below covers all queued rows, and old keys may not fit the new key's type.
    PERFORM FROM queue q WHERE q.collection_id = target ORDER BY q.key FOR UPDATE;
    DELETE FROM queue q WHERE q.collection_id = target;
    DELETE FROM source_changes c WHERE c.collection_id = target;
    INSERT INTO source_changes (collection_id, keys) VALUES (target, NULL);
    PERFORM pg_notify('spocdb', '');
    RETURN target;
END
$$;

COMMENT ON FUNCTION spocdb.attach(regclass, text, text, text, text, text, boolean, text, text[], boolean) IS
    'Make a collection of a table''s rows, kept up to date by triggers and workers; a second call changes the settings and checks every row again';
