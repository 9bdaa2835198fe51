CREATE OR REPLACE FUNCTION spocdb.hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- Objects made after initdb, by any role, have this OID or a higher one (FirstNormalObjectId).
    first_of_users CONSTANT oid := 16384;
BEGIN
    -- The functions of a view and of a foreign data wrapper run as the role that reads it.
    SELECT CASE WHEN c.oid IS NULL OR c.relkind <> 'r' THEN format('%s is no ordinary table', relation)
                WHEN EXISTS (SELECT FROM pg_inherits i WHERE relation IN (i.inhrelid, i.inhparent))
                THEN format('%s has rows that come by another table', relation) END
    INTO hazard FROM (VALUES (relation)) AS wanted (oid) LEFT JOIN pg_class c ON c.oid = wanted.oid;
    IF hazard IS NOT NULL THEN
        RETURN;
    END IF;

    SELECT format('%s has no column %I', relation, wanted) INTO hazard
    FROM unnest(columns) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = wanted
                      AND a.attnum > 0 AND NOT a.attisdropped)
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    -- A cast of a user's type to text or json would run as the owner of spocdb. PostgreSQL's own types have
    -- no casts of users, because CREATE CAST requires ownership of the type.
    SELECT format('%s.%I is of type %s, which is not one of PostgreSQL''s own', relation, a.attname,
                  format_type(a.atttypid, NULL)),
           format('give %s a column of text, a number or a time that holds the same (documentation: Columns of other types)',
                  relation)
    INTO hazard, advice
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (columns)
      AND NOT (t.oid < first_of_users AND t.typnamespace = 'pg_catalog'::regnamespace
               AND t.typtype IN ('b', 'r', 'm')
               AND (e.oid IS NULL OR e.oid < first_of_users
                    AND e.typnamespace = 'pg_catalog'::regnamespace AND e.typtype IN ('b', 'r', 'm')))
    ORDER BY a.attnum LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT format('%s.%I is a virtual column, whose changes no trigger records', relation, a.attname),
           'make it GENERATED ALWAYS AS (...) STORED'
    INTO hazard, advice
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attgenerated = 'v'
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    -- The planner evaluates constant parts of index and statistics expressions as the role that runs the
    -- query. Functions of members of spocdb's owner are allowed, because they have its rights already.
    SELECT format('%s calls %s of the role %s, and so does planning a query on %s',
                  pg_describe_object(d.classid, d.objid, 0), p.oid::regprocedure, p.proowner::regrole, relation),
           format('run ALTER FUNCTION %s OWNER TO %s once you have read it', p.oid::regprocedure, owner())
    INTO hazard, advice
    FROM (SELECT 'pg_class'::regclass::oid AS class, x.indexrelid AS oid FROM pg_index x WHERE x.indrelid = relation
          UNION ALL
          SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s WHERE s.stxrelid = relation) has
    JOIN pg_depend d ON d.classid = has.class AND d.objid = has.oid
        AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
    LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN pg_proc p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
    WHERE p.oid >= first_of_users AND NOT pg_has_role(p.proowner, owner(), 'MEMBER')
    LIMIT 1;
END
$$;

COMMENT ON FUNCTION spocdb.hazard_of(regclass, text[]) IS
    'What would run code of other roles when columns of a table are read as the owner of spocdb, and advice; NULL if nothing would';

REVOKE ALL ON FUNCTION spocdb.hazard_of(regclass, text[]) FROM PUBLIC;
