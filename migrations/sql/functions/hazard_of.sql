CREATE OR REPLACE FUNCTION spocdb.hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- Objects made after initdb, by any role, have this OID or a higher one (FirstNormalObjectId).
    first_of_users CONSTANT oid := 16384;
    tree           oid[];
BEGIN
    -- The functions of a view and of a foreign data wrapper run as the role that reads it.
    SELECT CASE WHEN c.oid IS NULL OR c.relkind NOT IN ('r', 'p') THEN format('%s is no ordinary table', relation)
                WHEN comes_by_another(relation)
                THEN format('%s has rows that come by another table', relation) END
    INTO hazard FROM (VALUES (relation)) AS wanted (oid) LEFT JOIN pg_class c ON c.oid = wanted.oid;
    IF hazard IS NOT NULL THEN
        RETURN;
    END IF;

    -- Whoever owns a partitioned table may attach another partition between this check and the reading, and
    -- whoever owns a partition may give it an index. So they must have the rights of spocdb's owner already.
    tree := ARRAY(SELECT t.relid FROM pg_partition_tree(relation) t);
    SELECT CASE WHEN c.relkind NOT IN ('r', 'p') THEN format('%s is a partition of %s and no ordinary table', c.oid::regclass, relation)
                ELSE format('%s belongs to the role %s, which may give %s partitions that run functions of its own',
                            c.oid::regclass, c.relowner::regrole, relation) END,
           CASE WHEN c.relkind IN ('r', 'p') THEN
                format('run GRANT %s TO %s, or let %1$s own it, if you trust that role', owner(), c.relowner::regrole) END
    INTO hazard, advice FROM pg_class c
    WHERE c.oid = ANY (tree) AND (c.relkind NOT IN ('r', 'p') OR NOT pg_has_role(c.relowner, owner(), 'MEMBER'))
    ORDER BY c.oid LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    tree := tree || relation::oid;

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
    FROM (SELECT 'pg_class'::regclass::oid AS class, x.indexrelid AS oid FROM pg_index x WHERE x.indrelid = ANY (tree)
          UNION ALL
          -- Its partition key.
          SELECT 'pg_class'::regclass, p.partrelid FROM pg_partitioned_table p WHERE p.partrelid = ANY (tree)
          UNION ALL
          SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s WHERE s.stxrelid = ANY (tree)) has
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
