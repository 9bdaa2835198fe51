CREATE OR REPLACE FUNCTION spocdb.judge_condition(tree text)
RETURNS void
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    -- Node names of a view's query and of expressions in PostgreSQL 14 to 18.
    allowed CONSTANT text[] := '{QUERY,RTE,RANGETBLENTRY,RTEPERMISSIONINFO,ALIAS,FROMEXPR,RANGETBLREF,TARGETENTRY,
        VAR,CONST,OPEXPR,FUNCEXPR,SCALARARRAYOPEXPR,BOOLEXPR,NULLTEST,BOOLEANTEST,RELABELTYPE,COERCEVIAIO,
        ARRAYCOERCEEXPR,COLLATE,COLLATEEXPR,CASE,CASEEXPR,WHEN,CASEWHEN,CASETESTEXPR,ARRAY,ARRAYEXPR,ROW,ROWEXPR,COALESCE,
        COALESCEEXPR,MINMAX,MINMAXEXPR,DISTINCTEXPR,NULLIFEXPR,SUBSCRIPTINGREF}';
    -- SQLValueFunction stores its function as an index into this list.
    values_of_session CONSTANT text[] := '{CURRENT_DATE,CURRENT_TIME,CURRENT_TIME,CURRENT_TIMESTAMP,CURRENT_TIMESTAMP,
        LOCALTIME,LOCALTIME,LOCALTIMESTAMP,LOCALTIMESTAMP,CURRENT_ROLE,CURRENT_USER,USER,SESSION_USER,CURRENT_CATALOG,
        CURRENT_SCHEMA}';
    first_of_users CONSTANT oid := 16384;
    bad text;
BEGIN
    -- Whole rows and system columns such as ctid: no trigger records their changes.
    IF tree ~ '\{VAR :varno \d+ :varattno (0|-\d+) ' THEN
        bad := 'looks at a whole row or a system column';
    END IF;

    IF bad IS NULL THEN
        SELECT CASE WHEN p.oid >= first_of_users OR p.pronamespace <> 'pg_catalog'::regnamespace
                    THEN format('calls %s, which is not one of PostgreSQL''s own functions', p.oid::regprocedure)
                    ELSE format('calls %s, which is not IMMUTABLE', p.oid::regprocedure) END
        INTO bad
        FROM (SELECT m[2]::oid AS called FROM regexp_matches(tree, ' :(funcid|opfuncid) (\d+)', 'g') AS m
              UNION
              SELECT o.oprcode FROM regexp_matches(tree, ' :opno (\d+)', 'g') AS m JOIN pg_operator o ON o.oid = m[1]::oid) c
        LEFT JOIN pg_proc p ON p.oid = c.called
        WHERE c.called <> 0 AND NOT coalesce(p.oid < first_of_users AND p.pronamespace = 'pg_catalog'::regnamespace
                                             AND p.provolatile = 'i', false)
        ORDER BY p.oid DESC LIMIT 1;
    END IF;
    IF bad IS NULL THEN
        SELECT 'uses ' || values_of_session[m[1]::integer + 1] INTO bad
        FROM regexp_matches(tree, '\{SQLVALUEFUNCTION :op (\d+)', 'g') AS m LIMIT 1;
    END IF;
    IF bad IS NULL THEN
        SELECT 'uses the type ' || format_type(m[2]::oid, NULL) INTO bad
        FROM regexp_matches(tree, ' :((?:var|const|result|funcresult|opresult|case|coalesce|minmax|refcontainer|refelem|refrest|array_|element_|row_)type(?:id)?) (\d+)', 'g') AS m
        WHERE m[2]::oid >= first_of_users LIMIT 1;
    END IF;
    IF bad IS NULL THEN
        -- A cast by way of text calls input and output functions that the tree does not name.
        SELECT format('casts %s by way of text, which depends on settings of the session', format_type(t.oid, NULL))
        INTO bad
        FROM (SELECT m[1]::oid AS oid
              FROM regexp_matches(tree, '\{COERCEVIAIO :arg .*?type(?:id)? (\d+) ', 'g') AS m
              UNION
              SELECT m[1]::oid FROM regexp_matches(tree, ' :resulttype (\d+) :resultcollid \d+ :coerceformat', 'g') AS m) c
        JOIN pg_type t ON t.oid = c.oid
        JOIN pg_proc i ON i.oid = t.typinput JOIN pg_proc o ON o.oid = t.typoutput
        WHERE 'v' = ANY (ARRAY[i.provolatile::text, o.provolatile::text])
           OR 's' = ANY (ARRAY[i.provolatile::text, o.provolatile::text])
        LIMIT 1;
    END IF;
    IF bad IS NULL THEN
        SELECT CASE m[1] WHEN 'SUBLINK' THEN 'has a sub-select'
                         WHEN 'COERCETODOMAIN' THEN 'casts to a domain'
                         ELSE 'has an expression that spocdb does not know: ' || lower(m[1]) END
        INTO bad
        FROM regexp_matches(tree, '[( ]\{([A-Z_]+)', 'g') AS m WHERE m[1] <> ALL (allowed) LIMIT 1;
    END IF;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'the condition %', bad USING ERRCODE = 'invalid_name',
            HINT = 'use operators and IMMUTABLE functions of PostgreSQL on columns of the table';
    END IF;
END
$$;

COMMENT ON FUNCTION spocdb.judge_condition(text) IS
    'Refuse a condition, given as the parsed query of a view, that is more than an immutable expression of the columns of a row';

REVOKE ALL ON FUNCTION spocdb.judge_condition(text) FROM PUBLIC;
