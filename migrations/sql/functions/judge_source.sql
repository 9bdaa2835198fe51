CREATE OR REPLACE FUNCTION spocdb.judge_source(
    relation  regclass,
    key       text,
    image     text,
    root      text,
    urls      boolean,
    condition text,
    metadata  text[],
    OUT key_type text,
    OUT kind     text
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    bad    text;
    advice text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
                   AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'spocdb'::regnamespace)) THEN
        RAISE EXCEPTION '% is no ordinary table', relation
            USING ERRCODE = 'invalid_name', HINT = 'attach a table of an application, not a view or a foreign one';
    END IF;
    -- A write to a parent fires no statement trigger of its children, nor the other way round.
    IF comes_by_another(relation) THEN
        RAISE EXCEPTION '% has rows that come by another table', relation USING ERRCODE = 'invalid_name',
            HINT = 'attach the partitioned table instead of a partition; tables that inherit or are inherited from cannot be attached';
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
                  HINT = 'a key is one column, NOT NULL and UNIQUE; composite keys cannot be attached, nor tables that are partitioned by another column than the key';
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
            HINT = 'say what it holds: paths below a root (`root=...`: a folder, or a prefix of a bucket), or else URLs (`urls=True`)';
    ELSIF kind = 'bytes' AND (urls OR root IS NOT NULL) THEN
        RAISE EXCEPTION '%.% is bytea: it holds images themselves', relation, quote_ident(image)
            USING ERRCODE = 'invalid_name', HINT = 'leave out root and urls';
    -- Not quoted, because it may hold a password; this also refuses one before the bucket or in a query.
    ELSIF root !~ '^/|^(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(/[^?#]*)?$' THEN
        RAISE EXCEPTION 'the root is neither an absolute path nor the URI of a bucket'
            USING ERRCODE = 'invalid_name',
                  HINT = 'every worker reads below the same folder or prefix, wherever it was started';
    ELSIF cardinality(metadata) > 50 THEN
        RAISE EXCEPTION 'at most 50 columns can be metadata' USING ERRCODE = 'invalid_name';
    END IF;

    -- Workers access the table with the rights of spocdb's owner.
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

    -- Rows hidden by row-level security would count as deleted.
    IF (SELECT c.relrowsecurity AND NOT (r.rolsuper OR r.rolbypassrls)
               AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
        FROM pg_class c, pg_roles r WHERE c.oid = relation AND r.oid = owner()) THEN
        RAISE EXCEPTION 'row-level security hides rows of % from the role %, which owns spocdb', relation, owner()
            USING ERRCODE = 'insufficient_privilege', HINT = format('run ALTER ROLE %s BYPASSRLS', owner());
    END IF;
    SELECT h.hazard, h.advice INTO bad, advice
    FROM hazard_of(relation, ARRAY[key, image] || coalesce(metadata, '{}')) h;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION '%', bad USING ERRCODE = 'invalid_name', HINT = coalesce(advice, 'attach another table');
    END IF;
    -- Raises its own error for a condition that cannot be used.
    PERFORM columns_of(relation, condition);
END
$$;

COMMENT ON FUNCTION spocdb.judge_source(regclass, text, text, text, boolean, text, text[]) IS
    'Refuse a table that cannot be attached with these settings; return the type of its key, and what its image column holds';
