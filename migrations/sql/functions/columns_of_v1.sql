CREATE OR REPLACE FUNCTION spocdb.columns_of(relation regclass, condition text)
RETURNS text[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    probe     CONSTANT text := 'embeddings_condition_' || pg_backend_pid();
    statement refcursor;
    columns   text[];
    others    text;
BEGIN
    IF condition IS NULL THEN
        RETURN '{}';
    END IF;
    -- PostgreSQL itself reads the condition: a view knows what it depends on. It is one expression if it
    -- stands in two parentheses as well as in one, and no other statement if a cursor takes it.
    BEGIN
        OPEN statement FOR EXECUTE format(E'SELECT FROM %s AS t WHERE (%s\n)', relation, condition);
        CLOSE statement;
        EXECUTE format(E'CREATE VIEW spocdb.%I AS SELECT 1 AS found FROM %s AS t WHERE ((%s\n))',
                       probe, relation, condition);
    EXCEPTION WHEN syntax_error_or_access_rule_violation THEN
        RAISE EXCEPTION 'the condition cannot be used: %', SQLERRM
            USING ERRCODE = 'invalid_name', HINT = format('it follows WHERE, and uses columns of %s', relation);
    END;
    SELECT array_agg(DISTINCT a.attname::text) FILTER (WHERE a.attname IS NOT NULL),
           string_agg(DISTINCT d.refobjid::regclass::text, ', ') FILTER (WHERE d.refobjid <> relation)
    INTO columns, others
    FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attnum > 0
    WHERE r.ev_class = format('spocdb.%I', probe)::regclass;
    EXECUTE format('DROP VIEW spocdb.%I', probe);
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'the condition looks at % too, whose changes nothing would notice', others
            USING ERRCODE = 'invalid_name', HINT = format('use columns of %s alone', relation);
    END IF;
    RETURN coalesce(columns, '{}');
END
$$;

COMMENT ON FUNCTION spocdb.columns_of(regclass, text) IS
    'The columns of a table that a condition looks at; refused if it looks at another table';
