CREATE OR REPLACE FUNCTION spocdb.columns_of(relation regclass, condition text)
RETURNS text[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
-- As in spocdb.source_rows, which uses the condition.
SET standard_conforming_strings = on
AS $$
DECLARE
    probe     CONSTANT text := 'embeddings_condition_' || pg_backend_pid();
    enclosed  CONSTANT text := format(E'CREATE VIEW spocdb.%I AS SELECT 1 AS found FROM ONLY %s AS t WHERE (%s\n)',
                                      probe, relation, condition);
    -- The condition stands in parentheses and in brackets, so that no text in it can close both.
    twofold   CONSTANT text := format(E'CREATE VIEW spocdb.%1$I AS SELECT 1 AS found FROM ONLY %2$s AS t WHERE (%3$s\n) AND (ARRAY[%3$s\n])[1]',
                                      probe, relation, condition);
    statement refcursor;
    tree      text;
    columns   text[];
    others    text;
    problem   record;
BEGIN
    IF condition IS NULL THEN
        RETURN '{}';
    END IF;
    -- The condition does not run here, not even in the planner: PostgreSQL only parses it, for a view that is
    -- never read.
    BEGIN
        -- A cursor refuses CREATE VIEW. Its error names a single statement; several give another error.
        BEGIN
            OPEN statement FOR EXECUTE enclosed;
        EXCEPTION WHEN invalid_cursor_definition THEN
            IF SQLERRM NOT LIKE '%CREATE VIEW%' THEN
                RAISE EXCEPTION 'it is more than one statement' USING ERRCODE = 'syntax_error';
            END IF;
        END;
        EXECUTE twofold;
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR data_exception OR feature_not_supported THEN
        RAISE EXCEPTION 'the condition cannot be used: %', SQLERRM
            USING ERRCODE = 'invalid_name', HINT = format('it follows WHERE, and uses columns of %s', relation);
    END;
    SELECT r.ev_action::text,
           array_agg(DISTINCT a.attname::text) FILTER (WHERE a.attname IS NOT NULL),
           string_agg(DISTINCT d.refobjid::regclass::text, ', ') FILTER (WHERE d.refobjid <> relation)
    INTO tree, columns, others
    FROM pg_rewrite r
    LEFT JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attnum > 0
    WHERE r.ev_class = format('spocdb.%I', probe)::regclass
    GROUP BY r.oid;
    EXECUTE format('DROP VIEW spocdb.%I', probe);
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'the condition reads % too, whose changes no trigger records', others
            USING ERRCODE = 'invalid_name', HINT = format('use columns of %s alone', relation);
    END IF;
    columns := coalesce(columns, '{}');
    problem := hazard_of(relation, columns);
    IF problem.hazard IS NOT NULL THEN
        RAISE EXCEPTION 'the condition cannot be used: %', problem.hazard
            USING ERRCODE = 'invalid_name', HINT = coalesce(problem.advice, 'attach another table');
    END IF;
    PERFORM judge_condition(tree);
    RETURN columns;
END
$$;

COMMENT ON FUNCTION spocdb.columns_of(regclass, text) IS
    'The columns of a table that a condition reads; refused if it reads another table, or does more than read';
