CREATE OR REPLACE FUNCTION spocdb.open_source(collection bigint)
RETURNS spocdb.sources
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    source  sources;
    kind    "char";
    judged  text[];
    types   jsonb;
    problem text;
BEGIN
    SELECT s.* INTO source FROM sources s WHERE s.collection_id = collection;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT c.relkind INTO kind FROM pg_class c WHERE c.oid = source.relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'it was dropped' USING ERRCODE = 'undefined_table';
    END IF;
    -- Locks the table against ALTER and RENAME until the transaction ends. Only a table, and
    -- its partitions: locking a view would lock the tables below it.
    IF kind IN ('r', 'p') THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', rows_of(source.relation));
    END IF;
    judged := ARRAY(SELECT jsonb_object_keys(source.judged->'types'));
    problem := (hazard_of(source.relation,
                          ARRAY[source.key_column, source.image_column] || source.metadata || judged)).hazard;
    -- With columns of other types the same condition may call other functions.
    IF problem IS NULL AND source.condition IS NOT NULL
            AND (source.judged->>'condition' IS DISTINCT FROM source.condition
                 OR source.judged->'types' <> types_of(source.relation, judged)) THEN
        problem := 'its condition was judged for columns of other types, or never';
    END IF;
    IF problem IS NULL THEN
        types := types_of(source.relation, ARRAY[source.key_column]);
        IF types->>source.key_column <> source.key_type
                AND NOT (types->>source.key_column IN ('text', 'character varying')
                         AND source.key_type IN ('text', 'character varying')) THEN
            problem := format('%s.%I was %s and is %s', source.relation, source.key_column, source.key_type,
                              types->>source.key_column);
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'datatype_mismatch',
            HINT = 'run `spocdb.attach(...)` again with what the table is now';
    END IF;
    RETURN source;
END
$$;

COMMENT ON FUNCTION spocdb.open_source(bigint) IS
    'Lock an attached table against ALTER and return how it is attached, NULL if it is detached; refused if reading it would run code of other roles';

REVOKE ALL ON FUNCTION spocdb.open_source(bigint) FROM PUBLIC;
