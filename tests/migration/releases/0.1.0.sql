--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: spocdb; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA spocdb;


--
-- Name: vector; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;


--
-- Name: EXTENSION vector; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';


--
-- Name: activate(bigint, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.activate(collection bigint, projection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
DECLARE
    n_missing  bigint;
    n_wrong    bigint;
    are_zeros  boolean;
BEGIN
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    IF NOT EXISTS (SELECT FROM embedding_tables t
                   WHERE t.collection_id = collection AND t.projection_id = projection) THEN
        RAISE EXCEPTION 'collection % has no embeddings by projection %: build them first',
            collection, projection USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM spocdb.images i
         WHERE i.collection_id = $1
           AND NOT EXISTS (SELECT FROM spocdb.%I e WHERE e.image_id = i.id)',
        embedding_table(collection, projection))
    INTO n_missing USING collection;
    IF n_missing > 0 THEN
        RAISE EXCEPTION 'projection % still lacks % images of collection %: build them first',
            projection, n_missing, collection USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    -- A distance is 1 - the inner product only between embeddings of length one. Programs check each
    -- row that they write; this is against what other clients wrote. Only the first 1,000 rows, so
    -- that a rollback stays instant. A single zero is an image without a direction; all of them are a
    -- projection that maps everything to nothing. The raw projection takes descriptors as they are.
    EXECUTE format(
        'SELECT count(*) FILTER (WHERE e.dot <> 0 AND abs(1 + e.dot) > 0.02), bool_and(e.dot = 0)
         FROM (SELECT embedding OPERATOR(public.<#>) embedding AS dot
               FROM spocdb.%I LIMIT 1000) e',
        embedding_table(collection, projection))
    INTO n_wrong, are_zeros;
    IF (n_wrong > 0 OR are_zeros)
       AND EXISTS (SELECT FROM projections p WHERE p.id = projection AND p.kind <> 'raw') THEN
        RAISE EXCEPTION 'the embeddings of collection % by projection % are not of length one',
            collection, projection
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('run `spocdb pca drop %s --collection NAME`, then activate it again', projection);
    END IF;

    -- The active projection decides the extractor: new images and queries must take its way.
    UPDATE collections c
    SET previous_projection_id = c.active_projection_id, active_projection_id = projection,
        extractor_id = (SELECT p.extractor_id FROM projections p WHERE p.id = projection)
    WHERE c.id = collection AND c.active_projection_id IS DISTINCT FROM projection;
    PERFORM refresh_view(collection);
END
$_$;


--
-- Name: FUNCTION activate(collection bigint, projection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.activate(collection bigint, projection bigint) IS 'Let a collection answer by a projection whose embeddings are complete, and use its extractor; the one before is remembered for rollback';


--
-- Name: add_embedding_table(bigint, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.add_embedding_table(collection bigint, projection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
DECLARE
    table_name  text := embedding_table(collection, projection);
    column_type text;
    dim         integer;
    granted     record;
BEGIN
    -- Waits for the batches under way; a batch that begins later sees the new table, and fills it if
    -- the projection is of its extractor.
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    IF EXISTS (SELECT FROM embedding_tables t
               WHERE t.collection_id = collection AND t.projection_id = projection) THEN
        RETURN;
    END IF;
    -- pgvector indexes a vector up to 2000 dimensions, a halfvec up to 4000.
    SELECT p.dim, CASE WHEN p.dim > 2000 THEN 'halfvec' ELSE 'vector' END
    INTO dim, column_type
    FROM projections p WHERE p.id = projection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no projection %', projection
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT id FROM spocdb.projections';
    END IF;

    INSERT INTO embedding_tables (collection_id, projection_id, column_type, index_type)
    VALUES (collection, projection, column_type, column_type);
    EXECUTE format(
        'CREATE TABLE spocdb.%1$I (image_id bigint PRIMARY KEY, embedding public.%2$s(%3$s) NOT NULL);
         ALTER TABLE spocdb.%1$I ALTER COLUMN embedding SET STORAGE PLAIN;
         COMMENT ON TABLE spocdb.%1$I IS %4$L;
         ALTER TABLE spocdb.%1$I OWNER TO %5$s',
        table_name, column_type, dim,
        format('Embeddings of collection %s by projection %s; see spocdb.embedding_tables',
               collection, projection),
        owner());
    -- Who may add images may embed them.
    FOR granted IN
        SELECT DISTINCT a.grantee::regrole::text AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'spocdb.images'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON spocdb.%I TO %s', table_name, granted.role);
    END LOOP;
END
$_$;


--
-- Name: FUNCTION add_embedding_table(collection bigint, projection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.add_embedding_table(collection bigint, projection bigint) IS 'Give a collection an empty embedding table for a projection; from then on every new image of its extractor lands in it too';


--
-- Name: add_extractor(text, text, jsonb, integer, jsonb); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.add_extractor(name text, fingerprint text, recipe jsonb, dim integer, parentage jsonb DEFAULT NULL::jsonb) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    extractor bigint;
BEGIN
    -- Two programs that bring the same extractor at once do so one after the other. ON CONFLICT would
    -- do too, but every attempt would use up a number, and projections go by theirs.
    LOCK TABLE extractors IN SHARE ROW EXCLUSIVE MODE;
    SELECT e.id INTO extractor FROM extractors e WHERE e.fingerprint = add_extractor.fingerprint;
    IF FOUND THEN
        RETURN extractor;
    END IF;
    INSERT INTO extractors AS e (name, fingerprint, recipe, dim, parentage)
    VALUES (add_extractor.name, add_extractor.fingerprint, add_extractor.recipe, add_extractor.dim,
            add_extractor.parentage)
    RETURNING e.id INTO extractor;
    INSERT INTO projections (extractor_id, kind, dim, mean, n_samples, settings, fitted_on, fingerprint)
    VALUES (extractor, 'raw', add_extractor.dim,
            array_fill(0::real, ARRAY[add_extractor.dim])::public.vector, 0, '{}', '{}', 'raw');
    RETURN extractor;
END
$$;


--
-- Name: FUNCTION add_extractor(name text, fingerprint text, recipe jsonb, dim integer, parentage jsonb); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.add_extractor(name text, fingerprint text, recipe jsonb, dim integer, parentage jsonb) IS 'Store an extractor, with its raw projection, unless it is there; return its id';


--
-- Name: add_triggers(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.add_triggers(collection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    SET client_min_messages TO 'warning'
    SET lock_timeout TO '800ms'
    AS $_$
DECLARE
    source      record;
    watched     text[];
    differences text;
    body        text;
    enqueue     text := format('spocdb.enqueue_%s', collection);
    level       text;
BEGIN
    SELECT s.* INTO STRICT source FROM sources s WHERE s.collection_id = collection;
    watched := source.metadata || columns_of(source.relation, source.condition) || source.image_column;
    -- Compared byte by byte: not every type has an equality, and some take what differs for equal. And no
    -- cast or operator that came with a type of the application's own runs with the rights of this.
    SELECT format('ROW(%s)::record *<> ROW(%s)::record', string_agg(format('OLD.%I', w), ', '), string_agg(format('NEW.%I', w), ', '))
    INTO differences FROM (SELECT DISTINCT unnest(watched) AS w) x;

    body := format($body$
#variable_conflict use_variable
DECLARE
    most    CONSTANT integer := 1000000;
    changed text[] := '{}';
    gone    text[] := '{}';
BEGIN
    -- A column that was renamed or altered must not make the application's write fail: then
    -- it is not known what changed. Nothing is written in here, so it costs no transaction id.
    BEGIN
        IF TG_OP = 'DELETE' THEN
            gone := ARRAY(SELECT concat(o.%1$I) FROM old_rows o);
        ELSIF TG_OP = 'INSERT' AND TG_LEVEL = 'STATEMENT' THEN
            changed := ARRAY(SELECT concat(n.%1$I) FROM new_rows n LIMIT most + 1);
            changed := CASE WHEN cardinality(changed) <= most THEN changed END;
        ELSIF TG_OP = 'INSERT' THEN
            changed := ARRAY[concat(NEW.%1$I)];
        ELSIF TG_OP = 'UPDATE' AND ROW(OLD.%1$I)::record *<> ROW(NEW.%1$I)::record THEN
            gone := ARRAY[concat(OLD.%1$I)];
            changed := ARRAY[concat(NEW.%1$I)];
        ELSIF TG_OP = 'UPDATE' AND %2$s THEN
            changed := ARRAY[concat(NEW.%1$I)];
        ELSIF TG_OP = 'UPDATE' THEN
            RETURN NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        changed := NULL;
    END;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM spocdb.images WHERE collection_id = %3$s;
        DELETE FROM spocdb.failures WHERE collection_id = %3$s;
    ELSIF cardinality(gone) > 0 THEN
        DELETE FROM spocdb.images WHERE collection_id = %3$s AND path = ANY (gone);
        -- As spocdb.take_in calls a row whose key fits no index.
        DELETE FROM spocdb.failures WHERE collection_id = %3$s AND path = ANY (ARRAY(
            SELECT CASE WHEN octet_length(g.key) > 2000 THEN left(g.key, 200) || '... ' || md5(g.key) ELSE g.key END
            FROM unnest(gone) AS g (key)));
    END IF;
    -- A snapshot of the whole transaction does not show what workers embedded since it was taken:
    -- they have to look again.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        changed := CASE WHEN TG_OP <> 'TRUNCATE' AND changed IS NOT NULL AND cardinality(gone) <= most
                   THEN changed || gone END;
    END IF;
    IF cardinality(changed) = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO spocdb.source_changes (collection_id, keys) VALUES (%3$s, changed);
    PERFORM pg_notify('spocdb', '');
    RETURN NULL;
END
$body$, source.key_column, differences, collection);
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION %1$s() RETURNS trigger
         LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %2$L;
         COMMENT ON FUNCTION %1$s() IS %3$L;
         ALTER FUNCTION %1$s() OWNER TO %4$s;
         REVOKE ALL ON FUNCTION %1$s() FROM PUBLIC',
        enqueue, body, format('Trigger: notes what changed in %s for its collection', source.relation), owner());

    -- A statement's rows together cost less than each; but rows that hold images would be copied.
    level := CASE source.kind WHEN 'bytes' THEN 'FOR EACH ROW'
             ELSE 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT' END;
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %s %s EXECUTE FUNCTION %s()',
                   format('spocdb_%s_insert', collection), source.relation, level, enqueue);
    -- With a list of columns it need not compare images that an update does not name. PostgreSQL then
    -- refuses to alter the types of these columns, so text does without; and so does a table whose own
    -- triggers may change an image that the update does not name.
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE %s ON %s FOR EACH ROW EXECUTE FUNCTION %s()',
                   format('spocdb_%s_update', collection),
                   CASE WHEN source.kind = 'bytes' AND NOT EXISTS (
                       -- FOR EACH ROW (1), BEFORE (2), UPDATE (16)
                       SELECT FROM pg_trigger t
                       WHERE t.tgrelid = source.relation AND NOT t.tgisinternal AND t.tgtype & 19 = 19) THEN (
                       SELECT 'OF ' || string_agg(DISTINCT quote_ident(w), ', ')
                       FROM unnest(watched || source.key_column) AS w) END,
                   source.relation, enqueue);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON %s
                    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION %s()',
                   format('spocdb_%s_delete', collection), source.relation, enqueue);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()',
                   format('spocdb_%s_truncate', collection), source.relation, enqueue);
    -- The row of an image is found by its key; text keys are the path itself.
    IF NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = to_regclass(format('spocdb.images_key_%s', collection))
          AND format_type(a.atttypid, NULL) = source.key_type) THEN
        EXECUTE format('DROP INDEX IF EXISTS spocdb.images_key_%s', collection);
    END IF;
    IF source.key_type NOT IN ('text', 'character varying') THEN
        BEGIN
            EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS images_key_%1$s ON spocdb.images ((path::%2$s)) WHERE collection_id = %1$s',
                           collection, source.key_type);
        EXCEPTION WHEN data_exception OR unique_violation THEN
            -- Not even deleting them would do: a new index holds what older snapshots see.
            RAISE EXCEPTION 'the collection was made by another key, whose values are no %', source.key_type
                USING ERRCODE = 'invalid_name', HINT = 'run `spocdb detach` first, or choose another name with --collection';
        END;
    END IF;
END
$_$;


--
-- Name: FUNCTION add_triggers(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.add_triggers(collection bigint) IS 'Put the triggers on an attached table that note its changes and delete the embeddings of deleted rows';


--
-- Name: attach(regclass, text, text, text, text, text, boolean, text, text[], boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.attach(relation regclass, key text, image text, collection text DEFAULT NULL::text, extractor text DEFAULT NULL::text, root text DEFAULT NULL::text, urls boolean DEFAULT false, condition text DEFAULT NULL::text, metadata text[] DEFAULT '{}'::text[], allow_private boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
#variable_conflict use_variable
DECLARE
    -- Of pgvector's HNSW; measured, see spocdb/db/indexes.py.
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
                        USING hnsw ((embedding::public.%3$s(%4$s)) public.%3$s_ip_ops) WITH (%5$s)',
                       made.name || '_hnsw', made.name, made.index_type, made.dim, index_options);
    END IF;
    -- No worker writes rows by their old keys meanwhile.
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
    -- All that waited is looked at anyway, and old keys need not be of the new key's type.
    PERFORM FROM queue q WHERE q.collection_id = target ORDER BY q.key FOR UPDATE;
    DELETE FROM queue q WHERE q.collection_id = target;
    DELETE FROM source_changes c WHERE c.collection_id = target;
    INSERT INTO source_changes (collection_id, keys) VALUES (target, NULL);
    PERFORM pg_notify('spocdb', '');
    RETURN target;
END
$_$;


--
-- Name: FUNCTION attach(relation regclass, key text, image text, collection text, extractor text, root text, urls boolean, condition text, metadata text[], allow_private boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.attach(relation regclass, key text, image text, collection text, extractor text, root text, urls boolean, condition text, metadata text[], allow_private boolean) IS 'Make a collection of a table''s rows, kept true by triggers and workers; again, it takes other settings and looks at every row anew';


--
-- Name: columns_of(regclass, text); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.columns_of(relation regclass, condition text) RETURNS text[]
    LANGUAGE plpgsql
    SET search_path TO 'spocdb', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    AS $_$
DECLARE
    probe     CONSTANT text := 'embeddings_condition_' || pg_backend_pid();
    enclosed  CONSTANT text := format(E'CREATE VIEW spocdb.%I AS SELECT 1 AS found FROM ONLY %s AS t WHERE (%s\n)',
                                      probe, relation, condition);
    -- One expression stands in brackets as well as in parentheses: nothing closes both.
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
    -- Nothing of the condition runs in here, not even in the planner: PostgreSQL parses it for a view, and
    -- that is never read.
    BEGIN
        -- A cursor takes no CREATE VIEW. It says so, by name, of one statement: several would be another error.
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
        RAISE EXCEPTION 'the condition looks at % too, whose changes nothing would notice', others
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
$_$;


--
-- Name: FUNCTION columns_of(relation regclass, condition text); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.columns_of(relation regclass, condition text) IS 'The columns of a table that a condition looks at; refused if it looks at another table, or does more than look';


--
-- Name: compared_path(text, jsonb); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.compared_path(operator text, value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
DECLARE
    day     CONSTANT text := '[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?';
    clock   CONSTANT text := '[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?';
    content CONSTANT text := value #>> '{}';
    test    text;
BEGIN
    IF operator <> '=' AND jsonb_typeof(value) NOT IN ('number', 'string') THEN
        RAISE EXCEPTION '% compares with a number or a text, not with %', operator, value
            USING ERRCODE = 'invalid_name';
    ELSIF operator <> '=' AND content ~ format('^%s[T ]%s ?(Z|[+-][0-9:]+)$', day, clock) THEN
        RAISE EXCEPTION 'the time % has an offset', quote_literal(content)
            USING ERRCODE = 'invalid_name', HINT = 'times are compared as they are written: leave the offset out';
    ELSIF jsonb_typeof(value) <> 'string' OR content !~ format('^%s([T ]%s)?$', day, clock) THEN
        RETURN CASE operator WHEN '=' THEN contains_path('@', value)
               ELSE format('@ %s %s', operator, value) END;
    END IF;
    -- A date stands for all of its time: 2023-05 is May. It compares with dates alone, which is
    -- looked at last: a regular expression takes longest.
    test := CASE operator
        WHEN '=' THEN '@ starts with %1$s'
        WHEN '<=' THEN '(@ < %1$s || @ starts with %1$s)'
        WHEN '>' THEN '@ > %1$s && !(@ starts with %1$s)'
        ELSE '@ ' || operator || ' %1$s' END
        || ' && @ like_regex "^[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ].*)?)?)?$"';
    IF length(content) <= 10 THEN
        RETURN format(test, value);
    END IF;
    -- The time of a day may be written behind a T or a blank.
    RETURN (SELECT format('(@ starts with %1$s && %2$s || !(@ starts with %1$s) && %3$s)',
                          to_jsonb(left(content, 10) || ' '),
                          format(test, to_jsonb(overlay(content PLACING ' ' FROM 11 FOR 1))),
                          format(test, to_jsonb(overlay(content PLACING 'T' FROM 11 FOR 1)))));
END
$_$;


--
-- Name: FUNCTION compared_path(operator text, value jsonb); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.compared_path(operator text, value jsonb) IS 'A strict jsonpath predicate over @: is it = < <= > or >= a value; numbers compare with numbers, dates with dates';


--
-- Name: condition_path(jsonb); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.condition_path(condition jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
DECLARE
    keys     CONSTANT jsonb := CASE jsonb_typeof(condition -> 0) WHEN 'array' THEN condition -> 0
                               ELSE jsonb_build_array(condition -> 0) END;
    operator CONSTANT text := condition ->> 1;
    value    CONSTANT jsonb := coalesce(condition -> 2, 'true');
    operand  text;
    test     text;
BEGIN
    IF jsonb_typeof(condition) <> 'array' OR jsonb_array_length(condition) NOT IN (2, 3) OR keys = '[]'
       OR EXISTS (SELECT FROM jsonb_array_elements(keys) k WHERE jsonb_typeof(k.value) <> 'string')
    THEN
        RAISE EXCEPTION '% is no condition', left(condition::text, 100)
            USING ERRCODE = 'invalid_name', HINT = 'write ["key", "operator", value], or [["outer", "inner"], ...] for a key in a key';
    ELSIF operator IS NULL OR operator <> ALL ('{=,!=,<,<=,>,>=,in,~,exists}') THEN
        RAISE EXCEPTION 'there is no operator %', coalesce(operator, 'null')
            USING ERRCODE = 'invalid_name', HINT = 'there are = != < <= > >= in ~ exists';
    ELSIF operator <> 'exists' AND jsonb_array_length(condition) = 2 THEN
        RAISE EXCEPTION 'the condition % has no value', left(condition::text, 100)
            USING ERRCODE = 'invalid_name', HINT = 'write ["key", "operator", value]';
    END IF;
    -- Keys and values are written as JSON, which escapes whatever could end a string of a jsonpath.
    SELECT '$' || string_agg('.' || k.value::text, '' ORDER BY k.ordinality) INTO operand
    FROM jsonb_array_elements(keys) WITH ORDINALITY k;

    CASE operator
    WHEN 'exists' THEN
        IF jsonb_typeof(value) <> 'boolean' THEN
            RAISE EXCEPTION 'exists takes true or false, not %', left(value::text, 100) USING ERRCODE = 'invalid_name';
        END IF;
        -- In strict mode what is said of a missing key is neither true nor false.
        RETURN format(CASE value WHEN 'true' THEN 'exists(%s)' ELSE '(exists(%s)) is unknown' END, operand);
    WHEN '!=' THEN
        test := condition_path(jsonb_build_array(keys, '=', value));
        RETURN format('exists(%s) && (!(%s) || (%2$s) is unknown)', operand, test);
    WHEN 'in' THEN
        IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) NOT BETWEEN 1 AND 1000 THEN
            RAISE EXCEPTION 'in takes a list of 1 to 1,000 values, such as ["a", "b"], not %', left(value::text, 100)
                USING ERRCODE = 'invalid_name';
        END IF;
        SELECT '(' || string_agg(format('(%s)', compared_path('=', e.value)), ' || ') || ')' INTO test
        FROM jsonb_array_elements(value) e;
    WHEN '~' THEN
        -- A back-reference is what makes a regular expression take exponential time.
        IF jsonb_typeof(value) <> 'string' OR value #>> '{}' ~ '\\[1-9]' THEN
            RAISE EXCEPTION '~ takes a regular expression without back-references, as a text, not %', left(value::text, 100)
                USING ERRCODE = 'invalid_name';
        END IF;
        -- By this flag it means what it means behind PostgreSQL's operator ~.
        test := format('@ like_regex %s flag "s"', value);
    ELSE
        test := compared_path(operator, value);
    END CASE;
    -- What holds for an element of a list holds for the list.
    RETURN format('(exists(%s ? (%s)) || exists(%1$s[*] ? (%2$s)))', operand, test);
END
$_$;


--
-- Name: FUNCTION condition_path(condition jsonb); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.condition_path(condition jsonb) IS 'One condition of a filter, ["key", "operator", value], as a strict jsonpath predicate';


--
-- Name: contains_path(text, jsonb); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.contains_path(operand text, value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
BEGIN
    -- Keys and values are written as JSON, which escapes whatever could end a jsonpath string.
    IF value IN ('{}', '[]') THEN
        RETURN format('%s.type() == "%s"', operand, jsonb_typeof(value));
    ELSIF jsonb_typeof(value) = 'object' THEN
        RETURN (SELECT string_agg(contains_path(operand || '.' || to_jsonb(e.key)::text, e.value), ' && ')
                FROM jsonb_each(value) e);
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN (SELECT string_agg(format('exists(%s[*] ? (%s))', operand, contains_path('@', e.value)), ' && ')
                FROM jsonb_array_elements(value) e);
    END IF;
    RETURN format('%s == %s', operand, value);
END
$$;


--
-- Name: FUNCTION contains_path(operand text, value jsonb); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.contains_path(operand text, value jsonb) IS 'A strict jsonpath predicate that says what operand @> value says; operand is a jsonpath expression';


--
-- Name: count_coverage(); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.count_coverage() RETURNS TABLE(collection text, projection bigint, active boolean, relation text, rows bigint, embedded bigint, pending bigint, leased bigint, failed bigint, oldest_pending interval, problem text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    SET row_security TO 'off'
    AS $_$
#variable_conflict use_column
DECLARE
    -- Each key in one state, the highest that it has. Nothing known of it yet is pending too.
    counting CONSTANT text := $count$
        WITH belonging AS MATERIALIZED (
            -- As take_in names what is too long for an index.
            SELECT CASE WHEN octet_length(k.key) <= 2000 THEN k.key
                        ELSE left(k.key, 200) || '... ' || md5(k.key) END AS key
            FROM %2$s AS k (key)
        ), everything AS (
            SELECT min(c.changed_at) AS since FROM spocdb.source_changes c
            WHERE c.collection_id = $1 AND c.keys IS NULL HAVING count(*) > 0
        ), waiting AS (
            SELECT q.key, q.enqueued_at AS since FROM spocdb.queue q
            WHERE q.collection_id = $1 AND NOT (q.lease IS NOT NULL AND q.due_at > now())
            UNION ALL
            SELECT k.key, c.changed_at FROM spocdb.source_changes c, unnest(c.keys) AS k (key)
            WHERE c.collection_id = $1
            UNION ALL
            SELECT b.key, e.since FROM everything e, belonging b
            UNION ALL
            SELECT i.path, e.since FROM everything e, spocdb.images i WHERE i.collection_id = $1
        ), states AS (
            SELECT b.key, 1 AS state FROM belonging b
            UNION ALL
            SELECT i.path, CASE WHEN e.image_id IS NULL THEN 1 ELSE 2 END
            FROM spocdb.images i LEFT JOIN spocdb.%1$I e ON e.image_id = i.id WHERE i.collection_id = $1
            UNION ALL
            SELECT f.path, 3 FROM spocdb.failures f WHERE f.collection_id = $1
            UNION ALL
            SELECT w.key, 4 FROM waiting w
            UNION ALL
            SELECT q.key, 5 FROM spocdb.queue q
            WHERE q.collection_id = $1 AND q.lease IS NOT NULL AND q.due_at > now()
        )
        SELECT count(*), count(*) FILTER (WHERE k.state = 2), count(*) FILTER (WHERE k.state IN (1, 4)),
               count(*) FILTER (WHERE k.state = 5), count(*) FILTER (WHERE k.state = 3),
               (SELECT now() - min(w.since) FROM waiting w)
        FROM (SELECT s.key, max(s.state) AS state FROM states s GROUP BY s.key) k $count$;
    nothing CONSTANT text := '(SELECT NULL::text WHERE false)';
    found record;
BEGIN
    FOR found IN
        SELECT c.id, c.name, t.projection_id, t.projection_id = c.active_projection_id AS active,
               s.relation, s.collection_id IS NOT NULL AS is_attached,
               embedding_table(c.id, t.projection_id) AS table_name
        FROM collections c JOIN embedding_tables t ON t.collection_id = c.id
        LEFT JOIN sources s ON s.collection_id = c.id ORDER BY c.name, t.projection_id
    LOOP
        collection := found.name;
        projection := found.projection_id;
        active := found.active;
        relation := found.relation::text;
        problem := NULL;
        BEGIN
            EXECUTE format(counting, found.table_name,
                           CASE WHEN found.is_attached THEN 'spocdb.source_keys($1)' ELSE nothing END)
            INTO rows, embedded, pending, leased, failed, oldest_pending USING found.id;
        EXCEPTION WHEN OTHERS THEN
            problem := SQLERRM;
            EXECUTE format(counting, found.table_name, nothing)
            INTO rows, embedded, pending, leased, failed, oldest_pending USING found.id;
            rows := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END
$_$;


--
-- Name: FUNCTION count_coverage(); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.count_coverage() IS 'What spocdb.coverage shows; counts exactly, so it reads every row';


--
-- Name: create_collection(text, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.create_collection(name text, extractor bigint) RETURNS bigint
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    collection bigint;
    raw        bigint;
BEGIN
    IF octet_length(name) NOT BETWEEN 1 AND 63 THEN
        RAISE EXCEPTION 'a collection''s name has 1 to 63 bytes, this one has %: choose another', octet_length(name)
            USING ERRCODE = 'invalid_name';
    END IF;
    -- A view named after the collection must find its name free, now and in later versions.
    IF to_regclass(format('spocdb.%I', name)) IS NOT NULL OR name LIKE 'embeddings\_%' OR name LIKE 'images\_key\_%'
       OR name IN ('sources', 'queue', 'evaluations', 'coverage') THEN
        RAISE EXCEPTION 'the name % is taken by spocdb''s own tables: choose another', quote_ident(name)
            USING ERRCODE = 'reserved_name';
    END IF;
    SELECT p.id INTO STRICT raw FROM projections p WHERE p.extractor_id = extractor AND p.kind = 'raw';
    INSERT INTO collections AS c (name, extractor_id) VALUES (create_collection.name, extractor)
    RETURNING c.id INTO collection;
    PERFORM add_embedding_table(collection, raw);
    PERFORM activate(collection, raw);
    RETURN collection;
END
$$;


--
-- Name: FUNCTION create_collection(name text, extractor bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.create_collection(name text, extractor bigint) IS 'Make an empty collection bound to an extractor, embedded by its raw projection, with its view';


--
-- Name: delete_images(text, bigint[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.delete_images(collection text, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    target      bigint;
    is_attached boolean;
    n_deleted   bigint;
BEGIN
    SELECT c.id, EXISTS (SELECT FROM sources s WHERE s.collection_id = c.id) INTO target, is_attached
    FROM collections c WHERE c.name = delete_images.collection;
    IF target IS NULL THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(delete_images.collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    ELSIF is_attached THEN
        RAISE EXCEPTION 'collection % is of the rows of a table, which decides what belongs to it',
            quote_ident(delete_images.collection)
            USING ERRCODE = 'invalid_name', HINT = 'delete the rows, or attach the table again with another condition';
    END IF;
    -- Rows are locked in the order in which a batch locks them: neither waits for the other in a circle.
    PERFORM FROM images i WHERE i.collection_id = target AND i.id = ANY (delete_images.ids)
    ORDER BY i.path FOR UPDATE;
    DELETE FROM images i WHERE i.collection_id = target AND i.id = ANY (delete_images.ids);
    GET DIAGNOSTICS n_deleted = ROW_COUNT;
    RETURN n_deleted;
END
$$;


--
-- Name: FUNCTION delete_images(collection text, ids bigint[]); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.delete_images(collection text, ids bigint[]) IS 'Delete images of a collection with their embeddings; files and raw descriptors stay; returns how many there were';


--
-- Name: detach(text); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.detach(collection text) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    target    bigint;
    extractor bigint;
BEGIN
    SELECT c.id, c.extractor_id INTO target, extractor
    FROM collections c JOIN sources s ON s.collection_id = c.id WHERE c.name = detach.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no table is attached as %', quote_ident(detach.collection)
            USING ERRCODE = 'undefined_object', HINT = 'see `spocdb status`';
    END IF;
    PERFORM remove_source(target);
    CREATE TEMP TABLE detached_contents ON COMMIT DROP AS
        SELECT DISTINCT i.sha256 FROM images i WHERE i.collection_id = target;
    PERFORM drop_collection(target);
    -- What was computed of the table's images alone goes too, and an extractor that was made for it.
    DELETE FROM descriptors d USING pg_temp.detached_contents c
    WHERE d.sha256 = c.sha256 AND NOT EXISTS (SELECT FROM images i WHERE i.sha256 = c.sha256);
    DROP TABLE pg_temp.detached_contents;
    IF NOT EXISTS (SELECT FROM collections c WHERE c.extractor_id = extractor)
       AND NOT EXISTS (SELECT FROM descriptors d WHERE d.extractor_id = extractor)
       AND NOT EXISTS (SELECT FROM projections p WHERE p.extractor_id = extractor AND p.kind <> 'raw')
       AND NOT EXISTS (SELECT FROM extractors e WHERE e.id = extractor AND e.parentage IS NOT NULL) THEN
        DELETE FROM projections p WHERE p.extractor_id = extractor;
        DELETE FROM extractors e WHERE e.id = extractor;
    END IF;
END
$$;


--
-- Name: FUNCTION detach(collection text); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.detach(collection text) IS 'Undo spocdb.attach: triggers, collection, embeddings and what was computed of its images alone go, the table stays';


--
-- Name: drop_collection(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.drop_collection(collection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    view_name text;
    projected bigint;
BEGIN
    PERFORM remove_source(collection);
    SELECT c.name INTO STRICT view_name FROM collections c WHERE c.id = collection FOR UPDATE;
    EXECUTE format('DROP VIEW spocdb.%I', view_name);
    UPDATE collections c SET active_projection_id = NULL WHERE c.id = collection;
    FOR projected IN SELECT t.projection_id FROM embedding_tables t WHERE t.collection_id = collection
    LOOP
        PERFORM drop_embedding_table(collection, projected);
    END LOOP;
    DELETE FROM collections c WHERE c.id = collection;
END
$$;


--
-- Name: FUNCTION drop_collection(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.drop_collection(collection bigint) IS 'Drop a collection with its view, embeddings, images and failures, and the triggers of an attached table; raw descriptors stay for reuse';


--
-- Name: drop_embedding_table(bigint, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.drop_embedding_table(collection bigint, projection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    UPDATE collections c SET previous_projection_id = NULL
    WHERE c.id = collection AND c.previous_projection_id = projection;
    DELETE FROM embedding_tables t WHERE t.collection_id = collection AND t.projection_id = projection;
    EXECUTE format('DROP TABLE IF EXISTS spocdb.%I', embedding_table(collection, projection));
END
$$;


--
-- Name: FUNCTION drop_embedding_table(collection bigint, projection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.drop_embedding_table(collection bigint, projection bigint) IS 'Drop a collection''s embeddings by a projection; refused by the foreign key for the active one';


--
-- Name: embed(text, public.vector); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.embed(collection text, raw public.vector) RETURNS public.vector
    LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$ SELECT project(raw, t.projection) FROM target(collection) t $$;


--
-- Name: FUNCTION embed(collection text, raw public.vector); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.embed(collection text, raw public.vector) IS 'Project a raw descriptor with the active projection of a collection, ready for its ORDER BY';


--
-- Name: embedding(text, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.embedding(collection text, image_id bigint) RETURNS public.vector
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
DECLARE
    result public.vector;
BEGIN
    EXECUTE format('SELECT e.embedding::public.vector FROM spocdb.%I e WHERE e.image_id = $1',
                   (target(collection)).table_name)
    INTO result USING image_id;
    IF result IS NULL THEN
        RAISE EXCEPTION 'collection % has no image %', quote_ident(collection), image_id
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN result;
END
$_$;


--
-- Name: FUNCTION embedding(collection text, image_id bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.embedding(collection text, image_id bigint) IS 'The active embedding of one of a collection''s images, whatever type its column has';


--
-- Name: embedding_table(bigint, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.embedding_table(collection_id bigint, projection_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ SELECT 'embeddings_' || collection_id || '_' || projection_id $$;


--
-- Name: FUNCTION embedding_table(collection_id bigint, projection_id bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.embedding_table(collection_id bigint, projection_id bigint) IS 'Name of the table in schema spocdb that holds a collection''s embeddings by a projection';


--
-- Name: enqueue_3(); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.enqueue_3() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
DECLARE
    most    CONSTANT integer := 1000000;
    changed text[] := '{}';
    gone    text[] := '{}';
BEGIN
    -- A column that was renamed or altered must not make the application's write fail: then
    -- it is not known what changed. Nothing is written in here, so it costs no transaction id.
    BEGIN
        IF TG_OP = 'DELETE' THEN
            gone := ARRAY(SELECT concat(o.id) FROM old_rows o);
        ELSIF TG_OP = 'INSERT' AND TG_LEVEL = 'STATEMENT' THEN
            changed := ARRAY(SELECT concat(n.id) FROM new_rows n LIMIT most + 1);
            changed := CASE WHEN cardinality(changed) <= most THEN changed END;
        ELSIF TG_OP = 'INSERT' THEN
            changed := ARRAY[concat(NEW.id)];
        ELSIF TG_OP = 'UPDATE' AND ROW(OLD.id)::record *<> ROW(NEW.id)::record THEN
            gone := ARRAY[concat(OLD.id)];
            changed := ARRAY[concat(NEW.id)];
        ELSIF TG_OP = 'UPDATE' AND ROW(OLD.id, OLD.name, OLD.photo)::record *<> ROW(NEW.id, NEW.name, NEW.photo)::record THEN
            changed := ARRAY[concat(NEW.id)];
        ELSIF TG_OP = 'UPDATE' THEN
            RETURN NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        changed := NULL;
    END;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM spocdb.images WHERE collection_id = 3;
        DELETE FROM spocdb.failures WHERE collection_id = 3;
    ELSIF cardinality(gone) > 0 THEN
        DELETE FROM spocdb.images WHERE collection_id = 3 AND path = ANY (gone);
        -- As spocdb.take_in calls a row whose key fits no index.
        DELETE FROM spocdb.failures WHERE collection_id = 3 AND path = ANY (ARRAY(
            SELECT CASE WHEN octet_length(g.key) > 2000 THEN left(g.key, 200) || '... ' || md5(g.key) ELSE g.key END
            FROM unnest(gone) AS g (key)));
    END IF;
    -- A snapshot of the whole transaction does not show what workers embedded since it was taken:
    -- they have to look again.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        changed := CASE WHEN TG_OP <> 'TRUNCATE' AND changed IS NOT NULL AND cardinality(gone) <= most
                   THEN changed || gone END;
    END IF;
    IF cardinality(changed) = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO spocdb.source_changes (collection_id, keys) VALUES (3, changed);
    PERFORM pg_notify('spocdb', '');
    RETURN NULL;
END
$$;


--
-- Name: FUNCTION enqueue_3(); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.enqueue_3() IS 'Trigger: notes what changed in public.products for its collection';


--
-- Name: expand(text, public.vector, integer, double precision, boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.expand(collection text, query public.vector, neighbours integer DEFAULT 5, alpha double precision DEFAULT 3, exact boolean DEFAULT false) RETURNS public.vector
    LANGUAGE plpgsql STABLE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    -- What is this near is the query itself, perhaps computed in another precision, or a copy of it:
    -- it adds nothing new. Beyond the neighbours so many are looked at.
    same     CONSTANT double precision := 1e-3;
    copies   CONSTANT integer := 10;
    n_joined integer := coalesce(neighbours, 5);
    unit     public.vector := public.l2_normalize(query);
    expanded public.vector;
BEGIN
    SELECT public.sum(
               embedding(collection, s.id)
               OPERATOR(public.*) array_fill(
                   power(greatest(1 - s.distance, 0), coalesce(alpha, 3))::real,
                   ARRAY[public.vector_dims(unit)])::public.vector)
    INTO expanded
    FROM (
        SELECT found.id, found.distance
        FROM search(collection, unit, n_joined + copies, '{}', exact) found
        WHERE found.distance > same ORDER BY found.distance, found.id LIMIT n_joined
    ) s;
    RETURN coalesce(public.l2_normalize(unit OPERATOR(public.+) expanded), unit);
END
$$;


--
-- Name: FUNCTION expand(collection text, query public.vector, neighbours integer, alpha double precision, exact boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.expand(collection text, query public.vector, neighbours integer, alpha double precision, exact boolean) IS 'Query expansion: an embedding plus its nearest neighbours, each weighed by its similarity to the power of alpha (0: the plain average), ready for search';


--
-- Name: filter_path(jsonb); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.filter_path(filter jsonb) RETURNS jsonpath
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$
DECLARE
    path text;
BEGIN
    IF jsonb_typeof(filter) NOT IN ('object', 'array') THEN
        RAISE EXCEPTION 'a filter is an object or a list of conditions, not %', left(filter::text, 100)
            USING ERRCODE = 'invalid_name', HINT = 'write {"key": value} or [["key", "operator", value], ...]';
    END IF;
    SELECT string_agg(CASE jsonb_typeof(f.value) WHEN 'object' THEN contains_path('$', f.value)
                      ELSE condition_path(f.value) END, ' && ')
    INTO path
    FROM jsonb_array_elements(CASE jsonb_typeof(filter) WHEN 'array' THEN filter ELSE jsonb_build_array(filter) END) f;
    RETURN 'strict ' || coalesce(path, contains_path('$', '{}'));
END
$_$;


--
-- Name: FUNCTION filter_path(filter jsonb); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.filter_path(filter jsonb) IS 'A filter, {"key": value} or [["key", "operator", value], ...], for WHERE metadata @@ spocdb.filter_path(filter)';


--
-- Name: forget_embeddings(); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.forget_embeddings() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    table_name text;
BEGIN
    FOR table_name IN
        SELECT embedding_table(t.collection_id, t.projection_id) FROM embedding_tables t
        WHERE t.collection_id IN (SELECT d.collection_id FROM deleted d)
    LOOP
        EXECUTE format('DELETE FROM spocdb.%I e USING deleted d WHERE e.image_id = d.id', table_name);
    END LOOP;
    RETURN NULL;
END
$$;


--
-- Name: FUNCTION forget_embeddings(); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.forget_embeddings() IS 'Trigger: an image that is deleted takes its embeddings along';


--
-- Name: hazard_of(regclass, text[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_variable
DECLARE
    -- Objects made after initdb, by whatever role, have higher numbers (FirstNormalObjectId).
    first_of_users CONSTANT oid := 16384;
BEGIN
    -- The functions of a view and of a foreign table's wrapper run as the role that reads it.
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

    -- A cast to text or json that came with a type would run as the owner of spocdb. PostgreSQL's own
    -- types have none that others made: CREATE CAST asks for the ownership of a type.
    SELECT format('%s.%I is of type %s, which is not one of PostgreSQL''s own', relation, a.attname,
                  format_type(a.atttypid, NULL)),
           format('give %s a column of text, a number or a time that holds the same (docs/APPLICATIONS.md, Rights)',
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

    SELECT format('%s.%I is a virtual column, of whose changes no trigger is told', relation, a.attname),
           'make it GENERATED ALWAYS AS (...) STORED'
    INTO hazard, advice
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attgenerated = 'v'
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    -- The planner computes what is constant in the expressions of indexes and statistics, as the role
    -- whose query it plans. A role that may become the owner of spocdb anyway gains nothing by that.
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


--
-- Name: FUNCTION hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text) IS 'What of a table would run code of other roles when its columns are read as the owner of spocdb, and what to do; NULL if nothing';


--
-- Name: iterative_scan(boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.iterative_scan(for_session boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM set_config('hnsw.iterative_scan', 'strict_order', NOT for_session),
            set_config('hnsw.ef_search', '100', NOT for_session),
            -- However many rows the application's own WHERE turns away.
            set_config('hnsw.max_scan_tuples', '2147483647', NOT for_session),
            set_config('hnsw.scan_mem_multiplier', '1000', NOT for_session);
END
$$;


--
-- Name: FUNCTION iterative_scan(for_session boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.iterative_scan(for_session boolean) IS 'From now on in this transaction, or session, an ORDER BY over the index goes on until LIMIT is reached, whatever a WHERE turns away';


--
-- Name: judge_condition(text); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.judge_condition(tree text) RETURNS void
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    -- As PostgreSQL 14 to 18 write a view's query and the nodes of an expression.
    allowed CONSTANT text[] := '{QUERY,RTE,RANGETBLENTRY,RTEPERMISSIONINFO,ALIAS,FROMEXPR,RANGETBLREF,TARGETENTRY,
        VAR,CONST,OPEXPR,FUNCEXPR,SCALARARRAYOPEXPR,BOOLEXPR,NULLTEST,BOOLEANTEST,RELABELTYPE,COERCEVIAIO,
        ARRAYCOERCEEXPR,COLLATE,COLLATEEXPR,CASE,CASEEXPR,WHEN,CASEWHEN,CASETESTEXPR,ARRAY,ARRAYEXPR,ROW,ROWEXPR,COALESCE,
        COALESCEEXPR,MINMAX,MINMAXEXPR,DISTINCTEXPR,NULLIFEXPR,SUBSCRIPTINGREF}';
    -- SQLValueFunction names its function by its place in this list.
    values_of_session CONSTANT text[] := '{CURRENT_DATE,CURRENT_TIME,CURRENT_TIME,CURRENT_TIMESTAMP,CURRENT_TIMESTAMP,
        LOCALTIME,LOCALTIME,LOCALTIMESTAMP,LOCALTIMESTAMP,CURRENT_ROLE,CURRENT_USER,USER,SESSION_USER,CURRENT_CATALOG,
        CURRENT_SCHEMA}';
    first_of_users CONSTANT oid := 16384;
    bad text;
BEGIN
    -- Whole rows, and columns such as ctid: no trigger notices that they change.
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
        -- Written as text and read again: by functions that the tree does not name.
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


--
-- Name: FUNCTION judge_condition(tree text); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.judge_condition(tree text) IS 'Refuse a condition, as the parsed query of a view, that does more than compute something from the columns of a row';


--
-- Name: judge_source(regclass, text, text, text, boolean, text, text[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.judge_source(relation regclass, key text, image text, root text, urls boolean, condition text, metadata text[], OUT key_type text, OUT kind text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_variable
DECLARE
    bad    text;
    advice text;
BEGIN
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
    SELECT h.hazard, h.advice INTO bad, advice
    FROM hazard_of(relation, ARRAY[key, image] || coalesce(metadata, '{}')) h;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION '%', bad USING ERRCODE = 'invalid_name', HINT = coalesce(advice, 'attach another table');
    END IF;
    -- It says itself what is wrong with it.
    PERFORM columns_of(relation, condition);
END
$$;


--
-- Name: FUNCTION judge_source(relation regclass, key text, image text, root text, urls boolean, condition text, metadata text[], OUT key_type text, OUT kind text); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.judge_source(relation regclass, key text, image text, root text, urls boolean, condition text, metadata text[], OUT key_type text, OUT kind text) IS 'Refuse a table that cannot be attached like that; what its key is, and what its image column holds';


--
-- Name: lock_collection(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.lock_collection(collection bigint) RETURNS bigint
    LANGUAGE sql STRICT SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$ SELECT c.extractor_id FROM collections c WHERE c.id = collection FOR SHARE $$;


--
-- Name: FUNCTION lock_collection(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.lock_collection(collection bigint) IS 'Let no projection be activated or added until the transaction ends; returns the extractor, NULL if there is no such collection';


--
-- Name: lock_rows(bigint, text[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.lock_rows(collection bigint, keys text[]) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    SET row_security TO 'off'
    SET constraint_exclusion TO 'off'
    AS $_$
DECLARE
    source sources;
BEGIN
    source := open_source(collection);
    IF source.collection_id IS NULL THEN
        RETURN;  -- it was detached in this moment
    END IF;
    -- Never waits for the application, and lets it change all of a row but its key.
    RETURN QUERY EXECUTE format(
        'SELECT t.%1$I::text FROM ONLY %2$s AS t WHERE t.%1$I = ANY ($1::%3$s[]) FOR KEY SHARE SKIP LOCKED',
        source.key_column, source.relation, source.key_type)
    USING keys;
END
$_$;


--
-- Name: FUNCTION lock_rows(collection bigint, keys text[]); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.lock_rows(collection bigint, keys text[]) IS 'Keep rows of an attached table from being deleted until the transaction ends; those that are just now are left out';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: sources; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.sources (
    collection_id bigint NOT NULL,
    relation regclass NOT NULL,
    key_column text NOT NULL,
    key_type text NOT NULL,
    image_column text NOT NULL,
    kind text NOT NULL,
    root text,
    condition text,
    metadata text[] DEFAULT '{}'::text[] NOT NULL,
    allow_private boolean DEFAULT false NOT NULL,
    attached_at timestamp with time zone DEFAULT now() NOT NULL,
    judged jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT sources_check CHECK (((kind = 'path'::text) = (root IS NOT NULL))),
    CONSTRAINT sources_kind_check CHECK ((kind = ANY (ARRAY['bytes'::text, 'path'::text, 'url'::text])))
);


--
-- Name: TABLE sources; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.sources IS 'Attached tables: which column names the row, which one holds or names its image';


--
-- Name: COLUMN sources.kind; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.sources.kind IS 'what the image column holds: the bytes of a file, a path below root, or a URL';


--
-- Name: COLUMN sources.condition; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.sources.condition IS 'SQL: which rows belong to the collection; null: all that have an image';


--
-- Name: COLUMN sources.metadata; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.sources.metadata IS 'columns whose values become the metadata of the image';


--
-- Name: COLUMN sources.allow_private; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.sources.allow_private IS 'whether a URL may lead to an address that is not public';


--
-- Name: COLUMN sources.judged; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.sources.judged IS 'the condition as it was judged, and the types of its columns then; with others it is not used';


--
-- Name: open_source(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.open_source(collection bigint) RETURNS spocdb.sources
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
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
    -- From here to the end of the transaction nobody alters or renames the table. Locking a view would lock
    -- what is below it.
    IF kind = 'r' THEN
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', source.relation);
    END IF;
    judged := ARRAY(SELECT jsonb_object_keys(source.judged->'types'));
    problem := (hazard_of(source.relation,
                          ARRAY[source.key_column, source.image_column] || source.metadata || judged)).hazard;
    -- With columns of other types the same words may mean other functions.
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
            HINT = 'run `spocdb attach` again with what the table is now';
    END IF;
    RETURN source;
END
$$;


--
-- Name: FUNCTION open_source(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.open_source(collection bigint) IS 'How a table is attached, locked against changes of it, and refused if reading it would run code of other roles; NULL if it is detached';


--
-- Name: owner(); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.owner() RETURNS regrole
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = 'spocdb.collections'::regclass $$;


--
-- Name: FUNCTION owner(); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.owner() IS 'The role that owns spocdb: what a superuser makes on the way belongs to it too';


--
-- Name: project(public.vector, bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.project(raw public.vector, projection bigint) RETURNS public.vector
    LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
    -- The raw projection's mean is zero; subtracting it refuses a vector of another dimension.
    SELECT CASE p.kind WHEN 'raw' THEN public.l2_normalize(raw OPERATOR(public.-) p.mean) ELSE (
        SELECT public.l2_normalize(
                   array_agg(-(c.component OPERATOR(public.<#>) centred.raw) * c.scale ORDER BY c.position)
                   ::public.vector)
        -- OFFSET 0 keeps the planner from subtracting the mean anew for every component.
        FROM (SELECT raw OPERATOR(public.-) p.mean AS raw OFFSET 0) centred, projection_components c
        WHERE c.projection_id = p.id
    ) END
    FROM projections p
    WHERE p.id = projection
$$;


--
-- Name: FUNCTION project(raw public.vector, projection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.project(raw public.vector, projection bigint) IS 'Project a raw descriptor: subtract the mean, PCA, whiten, L2-normalise. NULL if there is no such projection';


--
-- Name: refresh_view(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.refresh_view(collection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    view_name text;
    body      text;
    acl       aclitem[];
    granted   record;
BEGIN
    SELECT c.name, format(
        'SELECT %s, i.width, i.height, i.sha256, i.metadata, i.ingested_at,
                e.embedding::public.%s(%s) AS embedding
         FROM spocdb.%I e JOIN spocdb.images i ON i.id = e.image_id',
        CASE WHEN s.key_column IS NULL THEN 'i.id, i.path'
             ELSE format('i.path::%s AS %I, i.id AS image_id', s.key_type, view_key(s.key_column)) END,
        t.index_type, p.dim, embedding_table(t.collection_id, t.projection_id))
        -- By which the index of the keys is found.
        || CASE WHEN s.key_column IS NULL THEN '' ELSE ' AND i.collection_id = ' || c.id END
    INTO STRICT view_name, body
    FROM collections c
    JOIN embedding_tables t ON t.collection_id = c.id AND t.projection_id = c.active_projection_id
    JOIN projections p ON p.id = t.projection_id
    LEFT JOIN sources s ON s.collection_id = c.id
    WHERE c.id = collection;

    -- Replacing keeps what depends on the view; it is refused where the embedding's type changes.
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW spocdb.%I AS %s', view_name, body);
        EXECUTE format('ALTER VIEW spocdb.%I OWNER TO %s', view_name, owner());
        RETURN;
    EXCEPTION WHEN invalid_table_definition THEN
        NULL;
    END;

    SELECT relacl INTO acl FROM pg_class WHERE oid = format('spocdb.%I', view_name)::regclass;
    EXECUTE format('DROP VIEW spocdb.%I', view_name);
    EXECUTE format('CREATE VIEW spocdb.%I AS %s', view_name, body);
    EXECUTE format('ALTER VIEW spocdb.%I OWNER TO %s', view_name, owner());
    -- Default privileges may have given it more than it had.
    FOR granted IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_class v, aclexplode(v.relacl) a
        WHERE v.oid = format('spocdb.%I', view_name)::regclass AND a.grantee <> v.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON spocdb.%I FROM %s', view_name, granted.role);
    END LOOP;
    FOR granted IN
        SELECT a.privilege_type, a.is_grantable,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM aclexplode(acl) a
    LOOP
        EXECUTE format('GRANT %s ON spocdb.%I TO %s%s', granted.privilege_type, view_name,
            granted.role, CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;


--
-- Name: FUNCTION refresh_view(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.refresh_view(collection bigint) IS 'Make the view of a collection show its active embeddings; grants on the view are kept';


--
-- Name: refuse_update(); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.refuse_update() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '%.% is immutable: what was made from it would no longer be what it says',
        TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'make a new one instead';
END
$$;


--
-- Name: FUNCTION refuse_update(); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.refuse_update() IS 'Trigger: versions never change';


--
-- Name: remove_source(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.remove_source(collection bigint) RETURNS void
    LANGUAGE plpgsql STRICT
    SET search_path TO 'spocdb', 'pg_temp'
    SET client_min_messages TO 'warning'
    SET lock_timeout TO '800ms'
    AS $$
BEGIN
    -- First of all: who holds the table cannot be waiting for anything of its collection. CASCADE takes
    -- the triggers, which by themselves only the table's owner might drop.
    EXECUTE format('DROP FUNCTION IF EXISTS spocdb.enqueue_%s() CASCADE', collection);
    EXECUTE format('DROP INDEX IF EXISTS spocdb.images_key_%s', collection);
    PERFORM FROM collections c WHERE c.id = collection FOR UPDATE;
    DELETE FROM queue q WHERE q.collection_id = collection;
    DELETE FROM source_changes c WHERE c.collection_id = collection;
    DELETE FROM sources s WHERE s.collection_id = collection;
END
$$;


--
-- Name: FUNCTION remove_source(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.remove_source(collection bigint) IS 'Take the triggers off an attached table and forget what it had to do';


--
-- Name: retry(text, text[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.retry(collection text, keys text[] DEFAULT NULL::text[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    target    bigint;
    n_failed  bigint;
    n_waiting bigint;
BEGIN
    SELECT s.collection_id INTO target
    FROM sources s JOIN collections c ON c.id = s.collection_id WHERE c.name = retry.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no table is attached as %', quote_ident(retry.collection)
            USING ERRCODE = 'undefined_object', HINT = 'see `spocdb status`';
    END IF;
    WITH failed AS (
        DELETE FROM failures f
        WHERE f.collection_id = target AND (retry.keys IS NULL OR f.path = ANY (retry.keys))
        RETURNING f.path, f.reason
    )
    INSERT INTO queue (collection_id, key, enqueued_at, lost)
    -- What took workers along is leased alone from the start.
    SELECT target, f.path, now(), CASE f.reason WHEN 'ProcessLost' THEN 2 ELSE 0 END
    FROM failed f ORDER BY f.path
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n_failed = ROW_COUNT;
    -- Rows in back-off are due now and have all their tries again. Leased ones stay with their worker.
    WITH waiting AS (
        SELECT q.key FROM queue q
        WHERE q.collection_id = target AND (retry.keys IS NULL OR q.key = ANY (retry.keys))
          AND q.lease IS NULL AND q.due_at > now()
        ORDER BY q.key FOR UPDATE
    )
    UPDATE queue q SET due_at = now(), attempts = 0
    FROM waiting w WHERE q.collection_id = target AND q.key = w.key;
    GET DIAGNOSTICS n_waiting = ROW_COUNT;
    PERFORM pg_notify('spocdb', '');
    -- Of those named, rows that were due already count too.
    IF retry.keys IS NOT NULL THEN
        RETURN (SELECT count(*) FROM queue q
                WHERE q.collection_id = target AND q.key = ANY (retry.keys) AND q.lease IS NULL);
    END IF;
    RETURN n_failed + n_waiting;
END
$$;


--
-- Name: FUNCTION retry(collection text, keys text[]); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.retry(collection text, keys text[]) IS 'Let workers try rows of an attached table again at once, all or those named: failed ones and those in back-off; returns how many, of those named with the ones that are due already';


--
-- Name: search(text, public.vector, integer, jsonb, boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.search(collection text, query public.vector, k integer DEFAULT 10, filter jsonb DEFAULT '{}'::jsonb, exact boolean DEFAULT false) RETURNS TABLE(id bigint, path text, distance double precision, metadata jsonb, method text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
#variable_conflict use_column
DECLARE
    -- Up to so many matching images at least, comparing all is quicker than walking the index.
    few        integer := 5000;
    -- So many pages of images are a sample.
    sampled    CONSTANT integer := 50;
    goal       record;
    unit       public.vector;
    -- What a list of conditions says; null for a plain object, which is contained.
    wanted     jsonpath;
    -- All images that it finds, if they are few.
    candidates bigint[];
    source     text;
    operand    text;
    statement  text;
    ids        bigint[];
    distances  double precision[];
    n_pages    bigint;
    n_matching bigint;
    n_sampled  bigint;
    n_found    bigint;
    width      double precision := 100;
    old_ef     text;
    old_scan   text;
    scan       text;
    ignored    text;
BEGIN
    IF query IS NULL THEN
        RETURN;
    END IF;
    k := coalesce(k, 10);
    IF k < 0 THEN
        RAISE EXCEPTION 'k is %, the least is 0', k
            USING ERRCODE = 'invalid_parameter_value', HINT = 'ask for more images';
    END IF;
    filter := coalesce(filter, '{}');
    IF filter = '[]' THEN
        filter := '{}';
    ELSIF jsonb_typeof(filter) <> 'object' THEN
        wanted := filter_path(filter);
    END IF;
    exact := coalesce(exact, false);
    -- Here and below: plpgsql evaluates an assignment itself, a query it would have to start.
    goal := target(collection);
    IF public.vector_dims(query) <> goal.dim THEN
        RAISE EXCEPTION 'collection % has embeddings of % dimensions, the query has %',
            quote_ident(collection), goal.dim, public.vector_dims(query)
            USING ERRCODE = 'data_exception', HINT = 'project a raw descriptor with spocdb.embed(collection, raw)';
    END IF;

    unit := public.l2_normalize(query);
    IF exact OR goal.hnsw IS NULL THEN
        method := 'exact';
    ELSIF filter = '{}' THEN
        method := 'hnsw';
    ELSE
        method := 'hnsw iterative';
        -- Counting stops early, but begins by listing all that match; so a sample is asked first.
        n_pages := pg_relation_size('spocdb.images') / current_setting('block_size')::integer;
        SELECT count(*) FILTER (WHERE CASE WHEN wanted IS NULL THEN i.metadata @> filter ELSE i.metadata @@ wanted END),
               count(*) INTO n_matching, n_sampled
        FROM images i TABLESAMPLE SYSTEM (least(100.0 * sampled / greatest(n_pages, 1), 100))
        WHERE i.collection_id = goal.id;
        -- Comparing takes as long as there are matches, walking the longer the fewer there are: of a
        -- million images both are as quick where one in a hundred matches.
        SELECT greatest(few, least(1e9, sqrt(20.0 * greatest(k, 1) * greatest(c.reltuples, 0)))) INTO few
        FROM pg_class c WHERE c.oid = format('spocdb.%I', goal.table_name)::regclass;
        IF n_matching * greatest(n_pages, sampled) / sampled <= 3 * few::bigint THEN
            IF wanted IS NULL THEN
                SELECT count(*) INTO n_found
                FROM (SELECT FROM images i
                      WHERE i.collection_id = goal.id AND i.metadata @> filter LIMIT few + 1) m;
            ELSE
                -- Planned each time: what the index of the metadata can do with it depends on the
                -- conditions. Where it can do nothing each image is looked at, which is not done twice.
                EXECUTE 'SELECT coalesce(array_agg(m.id), ''{}'') FROM (SELECT i.id FROM spocdb.images i
                         WHERE i.collection_id = $1 AND i.metadata @@ $2 LIMIT $3) m'
                INTO candidates USING goal.id, wanted, few + 1;
                n_found := cardinality(candidates);
            END IF;
            IF n_found <= few THEN
                method := 'exact';
            ELSE
                candidates := NULL;
            END IF;
        END IF;
        -- As many as hold four times k that match: the last that a walk sees are not its best.
        width := 4.0 * k * n_sampled / greatest(n_matching, 1);
    END IF;
    source := CASE WHEN filter = '{}' THEN ''
              WHEN candidates IS NOT NULL THEN ' WHERE e.image_id = ANY ($5)'
              WHEN wanted IS NULL THEN ' JOIN spocdb.images i ON i.id = e.image_id AND i.metadata @> $3'
              ELSE ' JOIN spocdb.images i ON i.id = e.image_id AND i.metadata @@ $4' END;
    operand := format('e.embedding::public.%1$s(%2$s) OPERATOR(public.<#>) $1::public.%1$s',
                      goal.index_type, goal.dim);
    -- Only the bare operator can be read off the index; with a sum around it the scan is exact.
    statement := format(
        'SELECT array_agg(image_id), array_agg(1 + d)
         FROM (SELECT e.image_id, %%s AS d FROM spocdb.%I e%s ORDER BY d LIMIT $2) n',
        goal.table_name, source);

    IF method <> 'exact' THEN
        old_ef := current_setting('hnsw.ef_search', true);
        old_scan := current_setting('hnsw.iterative_scan', true);
        ignored := set_config('hnsw.ef_search', least(greatest(100, k, width), 1000)::integer::text, true);
        -- Being ready to go on where filter or deletion left too few costs a tenth of the walk. So where the
        -- index sees more than are asked for it comes second, if deletions make it necessary. What comes late
        -- is put in its place below.
        FOREACH scan IN ARRAY CASE WHEN filter = '{}' AND k < 100 THEN '{off,relaxed_order}'::text[]
                                   ELSE '{relaxed_order}' END
        LOOP
            ignored := set_config('hnsw.iterative_scan', scan, true);
            EXECUTE format(statement, operand) INTO ids, distances USING unit, k, filter, wanted, candidates;
            EXIT WHEN coalesce(cardinality(ids), 0) >= k;
        END LOOP;
        ignored := set_config('hnsw.ef_search', coalesce(old_ef, '40'), true);
        ignored := set_config('hnsw.iterative_scan', coalesce(old_scan, 'off'), true);
    END IF;
    -- The index gives up after hnsw.max_scan_tuples; k rows are promised if there are k.
    IF method = 'exact' OR coalesce(cardinality(ids), 0) < k THEN
        method := 'exact';
        EXECUTE format(statement, '0 + (' || operand || ')') INTO ids, distances
        USING unit, k, filter, wanted, candidates;
    END IF;
    RETURN QUERY
        -- Rounding can bring equal vectors a hair below zero.
        SELECT i.id, i.path, greatest(n.distance, 0), i.metadata, search.method
        FROM unnest(ids, distances) AS n (image_id, distance) JOIN images i ON i.id = n.image_id
        ORDER BY n.distance, i.id;
END
$_$;


--
-- Name: FUNCTION search(collection text, query public.vector, k integer, filter jsonb, exact boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.search(collection text, query public.vector, k integer, filter jsonb, exact boolean) IS 'The k images of a collection nearest to an embedding, by cosine distance; filter: {"key": value} is contained in the metadata, or [["key", ">=", value], ...]; method says how they were found';


--
-- Name: similar(text, bigint, integer, jsonb, boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb."similar"(collection text, image_id bigint, k integer DEFAULT 10, filter jsonb DEFAULT '{}'::jsonb, exact boolean DEFAULT false) RETURNS TABLE(id bigint, path text, distance double precision, metadata jsonb, method text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    -- One more is searched for, as the image itself is among the nearest.
    IF k = 2147483647 THEN
        RAISE EXCEPTION 'k is %, the most is %', k, k - 1
            USING ERRCODE = 'invalid_parameter_value', HINT = 'ask for fewer images';
    END IF;
    IF k < 0 THEN
        RAISE EXCEPTION 'k is %, the least is 0', k
            USING ERRCODE = 'invalid_parameter_value', HINT = 'ask for more images';
    END IF;
    RETURN QUERY
        SELECT s.* FROM search(collection, embedding(collection, image_id), coalesce(k, 10) + 1, filter, exact) s
        WHERE s.id <> image_id ORDER BY s.distance, s.id LIMIT coalesce(k, 10);
END
$$;


--
-- Name: FUNCTION "similar"(collection text, image_id bigint, k integer, filter jsonb, exact boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb."similar"(collection text, image_id bigint, k integer, filter jsonb, exact boolean) IS 'The k images of a collection that look most like one of its own, which is left out';


--
-- Name: similar_rows(text, bigint, integer, jsonb, boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.similar_rows(collection text, row_key bigint, k integer DEFAULT 10, filter jsonb DEFAULT '{}'::jsonb, exact boolean DEFAULT false) RETURNS TABLE(key text, distance double precision, metadata jsonb, method text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$ SELECT * FROM similar_rows($1, $2::text, $3, $4, $5) $_$;


--
-- Name: FUNCTION similar_rows(collection text, row_key bigint, k integer, filter jsonb, exact boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.similar_rows(collection text, row_key bigint, k integer, filter jsonb, exact boolean) IS 'The k rows of an attached table whose images look most like one row''s own, which is left out';


--
-- Name: similar_rows(text, text, integer, jsonb, boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.similar_rows(collection text, row_key text, k integer DEFAULT 10, filter jsonb DEFAULT '{}'::jsonb, exact boolean DEFAULT false) RETURNS TABLE(key text, distance double precision, metadata jsonb, method text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    goal  record;
    image bigint;
BEGIN
    SELECT t.* INTO STRICT goal FROM target(collection) t;
    IF NOT goal.is_attached THEN
        RAISE EXCEPTION 'collection % is of files, no table is attached', quote_ident(collection)
            USING ERRCODE = 'invalid_name', HINT = 'call spocdb.similar(collection, id)';
    END IF;
    SELECT i.id INTO image FROM images i WHERE i.collection_id = goal.id AND i.path = row_key;
    IF image IS NULL THEN
        RAISE EXCEPTION 'collection % has no image of row %', quote_ident(collection), quote_literal(row_key)
            USING ERRCODE = 'no_data_found', HINT = 'it may be waiting: see spocdb.coverage';
    END IF;
    RETURN QUERY SELECT s.path, s.distance, s.metadata, s.method
                 FROM similar(collection, image, k, filter, exact) s;
END
$$;


--
-- Name: FUNCTION similar_rows(collection text, row_key text, k integer, filter jsonb, exact boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.similar_rows(collection text, row_key text, k integer, filter jsonb, exact boolean) IS 'The k rows of an attached table whose images look most like one row''s own, which is left out';


--
-- Name: similar_rows(text, uuid, integer, jsonb, boolean); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.similar_rows(collection text, row_key uuid, k integer DEFAULT 10, filter jsonb DEFAULT '{}'::jsonb, exact boolean DEFAULT false) RETURNS TABLE(key text, distance double precision, metadata jsonb, method text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    AS $_$ SELECT * FROM similar_rows($1, $2::text, $3, $4, $5) $_$;


--
-- Name: FUNCTION similar_rows(collection text, row_key uuid, k integer, filter jsonb, exact boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.similar_rows(collection text, row_key uuid, k integer, filter jsonb, exact boolean) IS 'The k rows of an attached table whose images look most like one row''s own, which is left out';


--
-- Name: source_keys(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.source_keys(collection bigint) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    SET row_security TO 'off'
    SET constraint_exclusion TO 'off'
    SET standard_conforming_strings TO 'on'
    AS $_$
DECLARE
    source sources;
BEGIN
    source := open_source(collection);
    IF source.collection_id IS NULL THEN
        RAISE EXCEPTION 'no table is attached as collection %', collection USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY EXECUTE format(
        E'SELECT t.%1$I::text FROM ONLY %2$s AS t WHERE t.%3$I IS NOT NULL AND t.%3$I <> '''' AND (%4$s\n)',
        source.key_column, source.relation, source.image_column, coalesce(source.condition, 'true'));
END
$_$;


--
-- Name: FUNCTION source_keys(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.source_keys(collection bigint) IS 'The keys of all rows of an attached table that belong to its collection';


--
-- Name: source_rows(bigint, text[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.source_rows(collection bigint, keys text[]) RETURNS TABLE(key text, location text, content bytea, metadata jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    SET row_security TO 'off'
    SET constraint_exclusion TO 'off'
    SET standard_conforming_strings TO 'on'
    AS $_$
DECLARE
    source sources;
    -- A column of type json may hold escapes that jsonb refuses, and one would fail its whole batch:
    -- \u0000 and the first half of a surrogate pair without a second, then a second half without a first.
    -- Behind an odd number of backslashes they are plain text.
    first_refused  CONSTANT text :=
        '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89abAB][[:xdigit:]]{2}(?!\\u[dD][c-fC-F][[:xdigit:]]{2}))';
    second_refused CONSTANT text :=
        '(?<!\\)(?<!\\u[dD][89abAB][[:xdigit:]]{2})((?:\\\\)*)\\u[dD][c-fC-F][[:xdigit:]]{2}';
    -- U+FFFD, as spocdb cleans all text from outside.
    replacement    CONSTANT text := '\1\\ufffd';
BEGIN
    source := open_source(collection);
    IF source.collection_id IS NULL THEN
        RAISE EXCEPTION 'no table is attached as collection %', collection USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY EXECUTE format(
        E'SELECT t.%1$I::text, %2$s,
                 regexp_replace(regexp_replace(json_build_object(%3$s)::text, $2, $4, ''g''), $3, $4, ''g'')::jsonb
          FROM ONLY %4$s AS t
          WHERE t.%1$I = ANY ($1::%5$s[]) AND t.%6$I IS NOT NULL AND t.%6$I <> '''' AND (%7$s\n)',
        source.key_column,
        format(CASE source.kind WHEN 'bytes' THEN 'NULL::text, t.%I' ELSE 't.%I::text, NULL::bytea' END,
               source.image_column),
        (SELECT string_agg(format('%1$L, t.%1$I', m), ', ') FROM unnest(source.metadata) AS m),
        source.relation, source.key_type, source.image_column, coalesce(source.condition, 'true'))
    USING keys, first_refused, second_refused, replacement;
END
$_$;


--
-- Name: FUNCTION source_rows(collection bigint, keys text[]); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.source_rows(collection bigint, keys text[]) IS 'Those of an attached table''s rows that belong to its collection, with their images or where they are';


--
-- Name: take_in(bigint); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.take_in(collection bigint) RETURNS bigint
    LANGUAGE plpgsql STRICT SECURITY DEFINER
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
DECLARE
    -- Longer keys fit no index.
    longest CONSTANT integer := 2000;
    most    CONSTANT integer := 100;
    taken   bigint[];
    n_keys  bigint;
BEGIN
    -- As all that write do: the application's table, the collection, then the queue.
    PERFORM lock_rows(collection, '{}');
    PERFORM lock_collection(collection);
    SELECT array_agg(x.id) INTO taken FROM (
        SELECT c.id FROM source_changes c WHERE c.collection_id = collection
        ORDER BY c.id LIMIT most FOR UPDATE SKIP LOCKED) x;
    -- In order, as every worker takes its locks. A change takes the row away from who has it now.
    WITH named AS (
        SELECT unnest(c.keys) AS key, c.changed_at FROM source_changes c WHERE c.id = ANY (taken)
    ), everything AS (
        SELECT max(c.changed_at) AS changed_at FROM source_changes c WHERE c.id = ANY (taken) AND c.keys IS NULL
        HAVING count(*) > 0
    ), known AS (
        SELECT k.key, e.changed_at FROM everything e, source_keys(collection) AS k (key)
        UNION ALL
        SELECT i.path, e.changed_at FROM everything e, images i WHERE i.collection_id = collection
    ), waiting AS (
        SELECT k.key, min(k.changed_at) AS changed_at
        FROM (SELECT * FROM named UNION ALL SELECT * FROM known) k GROUP BY k.key
    ), too_long AS (
        INSERT INTO failures (collection_id, path, size, mtime_ns, reason, message)
        SELECT collection, left(w.key, 200) || '... ' || md5(w.key), 0, 0, 'UnreadableImage',
               'a key may have 2,000 bytes at most'
        FROM waiting w WHERE octet_length(w.key) > longest
        -- Its time is that of this transaction: so a worker counts what it recorded.
        ON CONFLICT ON CONSTRAINT failures_pkey DO UPDATE SET failed_at = now()
    )
    INSERT INTO queue AS q (collection_id, key, enqueued_at)
    SELECT collection, w.key, w.changed_at FROM waiting w
    WHERE octet_length(w.key) <= longest ORDER BY w.key
    ON CONFLICT (collection_id, key) DO UPDATE
    SET lease = NULL, due_at = now(), attempts = 0, lost = 0,
        rejected = NULL, rejections = 0, rejected_since = NULL;
    GET DIAGNOSTICS n_keys = ROW_COUNT;
    DELETE FROM source_changes c WHERE c.id = ANY (taken);
    RETURN n_keys;
END
$$;


--
-- Name: FUNCTION take_in(collection bigint); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.take_in(collection bigint) IS 'Take the changes that triggers noted into the queue, each row once; returns how many rows';


--
-- Name: target(text); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.target(collection text, OUT id bigint, OUT projection bigint, OUT dim integer, OUT index_type text, OUT table_name text, OUT hnsw regclass, OUT is_attached boolean) RETURNS record
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    -- Whose statement it is: current_user is the owner in here, and in every function that asks.
    caller CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    SELECT c.id, p.id, p.dim, t.index_type, embedding_table(c.id, p.id),
           EXISTS (SELECT FROM sources s WHERE s.collection_id = c.id)
    INTO target.id, target.projection, target.dim, target.index_type, target.table_name,
         target.is_attached
    FROM collections c
    JOIN embedding_tables t ON t.collection_id = c.id AND t.projection_id = c.active_projection_id
    JOIN projections p ON p.id = t.projection_id
    WHERE c.name = target.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(target.collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    END IF;
    hnsw := to_regclass(format('spocdb.%I', table_name || '_hnsw'));
    IF NOT has_table_privilege(caller, format('spocdb.%I', target.collection), 'SELECT') THEN
        RAISE EXCEPTION 'the role % may not read collection %', quote_ident(caller), quote_ident(target.collection)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('the owner of spocdb runs `spocdb db grant --reader %s --collection %s`', caller, target.collection);
    END IF;
END
$$;


--
-- Name: FUNCTION target(collection text, OUT id bigint, OUT projection bigint, OUT dim integer, OUT index_type text, OUT table_name text, OUT hnsw regclass, OUT is_attached boolean); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.target(collection text, OUT id bigint, OUT projection bigint, OUT dim integer, OUT index_type text, OUT table_name text, OUT hnsw regclass, OUT is_attached boolean) IS 'How a collection is searched, if its view may be read by whose statement it is';


--
-- Name: types_of(regclass, text[]); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.types_of(relation regclass, columns text[]) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'spocdb', 'pg_temp'
    AS $$
    SELECT coalesce(jsonb_object_agg(a.attname, format_type(a.atttypid, NULL)), '{}')
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attnum > 0 AND NOT a.attisdropped
$$;


--
-- Name: FUNCTION types_of(relation regclass, columns text[]); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.types_of(relation regclass, columns text[]) IS 'The types of columns of a table, by their names';


--
-- Name: view_key(text); Type: FUNCTION; Schema: spocdb; Owner: -
--

CREATE FUNCTION spocdb.view_key(key text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT CASE WHEN key IN ('image_id', 'width', 'height', 'sha256', 'metadata', 'ingested_at', 'embedding')
                THEN 'key' ELSE key END
$$;


--
-- Name: FUNCTION view_key(key text); Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON FUNCTION spocdb.view_key(key text) IS 'What the key of an attached table is called in the view of its collection: the same, unless the view has such a column';


--
-- Name: products; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.products (
    id integer NOT NULL,
    photo bytea,
    name text
);


--
-- Name: alembic_version; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: TABLE alembic_version; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.alembic_version IS 'functions sha256:0de51e8daa22b495b6a7e8739b78e5e150b0d467173067cf5db4b80b2ba37c9c';


--
-- Name: collections; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.collections (
    id bigint NOT NULL,
    name text NOT NULL,
    extractor_id bigint NOT NULL,
    active_projection_id bigint,
    previous_projection_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT collections_name_check CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 63)))
);


--
-- Name: TABLE collections; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.collections IS 'Named sets of images: the unit of search, of access and of the index';


--
-- Name: collections_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.collections ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.collections_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: coverage; Type: VIEW; Schema: spocdb; Owner: -
--

CREATE VIEW spocdb.coverage AS
 SELECT collection,
    projection,
    active,
    relation,
    rows,
    embedded,
    pending,
    leased,
    failed,
    oldest_pending,
    problem
   FROM spocdb.count_coverage() count_coverage(collection, projection, active, relation, rows, embedded, pending, leased, failed, oldest_pending, problem);


--
-- Name: VIEW coverage; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON VIEW spocdb.coverage IS 'How far each collection is by each of its projections; rows = embedded + pending + leased + failed, each row counted once';


--
-- Name: descriptors; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.descriptors (
    extractor_id bigint NOT NULL,
    sha256 bytea NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    descriptor public.halfvec NOT NULL,
    CONSTRAINT descriptors_sha256_check CHECK ((octet_length(sha256) = 32))
);
ALTER TABLE ONLY spocdb.descriptors ALTER COLUMN descriptor SET STORAGE PLAIN;


--
-- Name: TABLE descriptors; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.descriptors IS 'Raw descriptors, by the sha256 of the image''s bytes and the extractor: the same bytes are never run twice';


--
-- Name: COLUMN descriptors.width; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.descriptors.width IS 'pixels of the upright image';


--
-- Name: COLUMN descriptors.height; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.descriptors.height IS 'pixels of the upright image';


--
-- Name: embedding_tables; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.embedding_tables (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    column_type text NOT NULL,
    index_type text NOT NULL,
    recall double precision,
    recall_settings jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT embedding_tables_column_type_check CHECK ((column_type = ANY (ARRAY['vector'::text, 'halfvec'::text]))),
    CONSTRAINT embedding_tables_index_type_check CHECK ((index_type = ANY (ARRAY['vector'::text, 'halfvec'::text])))
);


--
-- Name: TABLE embedding_tables; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.embedding_tables IS 'Which collection is embedded by which projection: each row has a table spocdb.embeddings_<collection>_<projection>';


--
-- Name: COLUMN embedding_tables.index_type; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.embedding_tables.index_type IS 'what the HNSW index holds, and what the collection''s view shows';


--
-- Name: COLUMN embedding_tables.recall; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.embedding_tables.recall IS 'measured recall of the index against an exact scan';


--
-- Name: embeddings_1_1; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.embeddings_1_1 (
    image_id bigint NOT NULL,
    embedding public.vector(256) NOT NULL
);
ALTER TABLE ONLY spocdb.embeddings_1_1 ALTER COLUMN embedding SET STORAGE PLAIN;


--
-- Name: TABLE embeddings_1_1; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.embeddings_1_1 IS 'Embeddings of collection 1 by projection 1; see spocdb.embedding_tables';


--
-- Name: embeddings_1_2; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.embeddings_1_2 (
    image_id bigint NOT NULL,
    embedding public.vector(4) NOT NULL
);
ALTER TABLE ONLY spocdb.embeddings_1_2 ALTER COLUMN embedding SET STORAGE PLAIN;


--
-- Name: TABLE embeddings_1_2; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.embeddings_1_2 IS 'Embeddings of collection 1 by projection 2; see spocdb.embedding_tables';


--
-- Name: embeddings_3_1; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.embeddings_3_1 (
    image_id bigint NOT NULL,
    embedding public.vector(256) NOT NULL
);
ALTER TABLE ONLY spocdb.embeddings_3_1 ALTER COLUMN embedding SET STORAGE PLAIN;


--
-- Name: TABLE embeddings_3_1; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.embeddings_3_1 IS 'Embeddings of collection 3 by projection 1; see spocdb.embedding_tables';


--
-- Name: evaluations; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.evaluations (
    id bigint NOT NULL,
    evaluated_at timestamp with time zone DEFAULT now() NOT NULL,
    version text NOT NULL,
    benchmark text NOT NULL,
    variant text NOT NULL,
    dataset jsonb NOT NULL,
    method text NOT NULL,
    recipe jsonb NOT NULL,
    projection jsonb NOT NULL,
    search jsonb NOT NULL,
    measure text NOT NULL,
    exact double precision NOT NULL,
    by_index double precision,
    costs jsonb NOT NULL
);


--
-- Name: TABLE evaluations; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.evaluations IS 'Measured retrieval quality, each with the full recipe, projection and search that it was measured of';


--
-- Name: COLUMN evaluations.variant; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.evaluations.variant IS 'of a benchmark with several: crop, full, easy, medium, hard';


--
-- Name: COLUMN evaluations.dataset; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.evaluations.dataset IS 'counts of images and queries, and a hash of the ground truth';


--
-- Name: COLUMN evaluations.exact; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.evaluations.exact IS 'the measure by exact scans';


--
-- Name: COLUMN evaluations.by_index; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.evaluations.by_index IS 'the measure through the HNSW index; null where there can be none';


--
-- Name: evaluations_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.evaluations ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.evaluations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: extractors; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.extractors (
    id bigint NOT NULL,
    name text NOT NULL,
    fingerprint text NOT NULL,
    recipe jsonb NOT NULL,
    dim integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    parentage jsonb,
    CONSTRAINT extractors_dim_check CHECK ((dim > 0))
);


--
-- Name: TABLE extractors; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.extractors IS 'Named, immutable recipes that turn an image into a raw descriptor';


--
-- Name: COLUMN extractors.fingerprint; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.extractors.fingerprint IS 'sha256 of the recipe''s canonical JSON';


--
-- Name: COLUMN extractors.dim; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.extractors.dim IS 'dimension of the raw descriptor, the C of the feature map';


--
-- Name: COLUMN extractors.parentage; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.extractors.parentage IS 'what a trained extractor was made from; null for others';


--
-- Name: extractors_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.extractors ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.extractors_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: failures; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.failures (
    collection_id bigint NOT NULL,
    path text NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    failed_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE failures; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.failures IS 'Every image that did not make it, and why; a row goes when the image makes it';


--
-- Name: images; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.images (
    id bigint NOT NULL,
    collection_id bigint NOT NULL,
    path text NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    ingested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT images_sha256_check CHECK ((octet_length(sha256) = 32))
);


--
-- Name: TABLE images; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.images IS 'The images of every collection; an unchanged file keeps its size and mtime_ns and is not read again';


--
-- Name: images_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.images ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.images_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: photos; Type: VIEW; Schema: spocdb; Owner: -
--

CREATE VIEW spocdb.photos AS
 SELECT i.id,
    i.path,
    i.width,
    i.height,
    i.sha256,
    i.metadata,
    i.ingested_at,
    e.embedding
   FROM (spocdb.embeddings_1_2 e
     JOIN spocdb.images i ON ((i.id = e.image_id)));


--
-- Name: products; Type: VIEW; Schema: spocdb; Owner: -
--

CREATE VIEW spocdb.products AS
 SELECT (i.path)::integer AS id,
    i.id AS image_id,
    i.width,
    i.height,
    i.sha256,
    i.metadata,
    i.ingested_at,
    e.embedding
   FROM (spocdb.embeddings_3_1 e
     JOIN spocdb.images i ON (((i.id = e.image_id) AND (i.collection_id = 3))));


--
-- Name: projection_components; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.projection_components (
    projection_id bigint NOT NULL,
    "position" integer NOT NULL,
    component public.vector NOT NULL,
    scale double precision NOT NULL,
    singular_value double precision NOT NULL,
    explained double precision NOT NULL
);


--
-- Name: TABLE projection_components; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.projection_components IS 'One row a dimension of the embedding: unit vector, whitening factor, singular value, part of the variance';


--
-- Name: projections; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.projections (
    id bigint NOT NULL,
    extractor_id bigint NOT NULL,
    kind text NOT NULL,
    dim integer NOT NULL,
    mean public.vector NOT NULL,
    n_samples bigint NOT NULL,
    settings jsonb NOT NULL,
    fitted_on jsonb NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT projections_dim_check CHECK ((dim > 0)),
    CONSTRAINT projections_kind_check CHECK ((kind = ANY (ARRAY['raw'::text, 'pca'::text])))
);


--
-- Name: TABLE projections; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.projections IS 'Immutable versions: mean, components and whitening, and what they were fitted on. Kind raw only normalises';


--
-- Name: projections_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.projections ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.projections_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: queue; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.queue (
    collection_id bigint NOT NULL,
    key text NOT NULL,
    enqueued_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    lease uuid,
    attempts integer DEFAULT 0 NOT NULL,
    lost integer DEFAULT 0 NOT NULL,
    rejected bytea,
    rejections integer DEFAULT 0 NOT NULL,
    rejected_since timestamp with time zone
);


--
-- Name: TABLE queue; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.queue IS 'Rows of attached tables that workers have to look at, each once';


--
-- Name: COLUMN queue.due_at; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.due_at IS 'when the next worker may take it: a lease moves it by the visibility time, a failure by the back-off';


--
-- Name: COLUMN queue.lease; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.lease IS 'of the worker that has it; a change of the row takes it away';


--
-- Name: COLUMN queue.attempts; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.attempts IS 'how often its image was tried since the row changed; tries that lost their worker are in lost';


--
-- Name: COLUMN queue.lost; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.lost IS 'how many leases ran out since the row changed: workers that died, or were too slow';


--
-- Name: COLUMN queue.rejected; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.rejected IS 'sha256 of the bytes that its URL gave last and that are no image';


--
-- Name: COLUMN queue.rejections; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.rejections IS 'how many tries in a row gave the rejected bytes';


--
-- Name: COLUMN queue.rejected_since; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.queue.rejected_since IS 'when the first of these tries was';


--
-- Name: runs; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.runs (
    id bigint NOT NULL,
    collection_id bigint NOT NULL,
    status text DEFAULT 'running'::text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    summary jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'finished'::text, 'interrupted'::text, 'failed'::text])))
);


--
-- Name: TABLE runs; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.runs IS 'Every ingest: when, how it ended, its counts and seconds by stage';


--
-- Name: runs_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.runs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: source_changes; Type: TABLE; Schema: spocdb; Owner: -
--

CREATE TABLE spocdb.source_changes (
    id bigint NOT NULL,
    collection_id bigint NOT NULL,
    keys text[],
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE ONLY spocdb.source_changes ALTER COLUMN keys SET STORAGE EXTERNAL;


--
-- Name: TABLE source_changes; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON TABLE spocdb.source_changes IS 'What changed in attached tables, as their triggers note it, until a worker takes it into the queue';


--
-- Name: COLUMN source_changes.keys; Type: COMMENT; Schema: spocdb; Owner: -
--

COMMENT ON COLUMN spocdb.source_changes.keys IS 'rows that were added or changed; null: any may have been';


--
-- Name: source_changes_id_seq; Type: SEQUENCE; Schema: spocdb; Owner: -
--

ALTER TABLE spocdb.source_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME spocdb.source_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Data for Name: products; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.products (id, photo, name) FROM stdin;
2	\\xffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb0043011112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363ffc00011080024003003012200021101031101ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffc4001f0100030101010101010101010000000000000102030405060708090a0bffc400b51100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9faffda000c03010002110311003f00adb4d18ad26b5c76aad2c5b6b9258691b61ab252205a9d2abf43522352a6bd9bd48cc6a29ad0b89528a86139ab0057b94358dcf26145b429b85355e5c3f4aca4b924f5ad2b43bf19a7884a11b9dd0a7ca466dc93d2945b915af1c008e94e96dc053c579318fb566ae97398dbfcbeb47db5477aadaa3f979c560c976c09e6bd9a11e48d8cefc8ec5d88f35b7a7751451518df80d99bf08e053a71f21a28af3309b9b52d8e475bea6b9890f34515ecad8e2abf19ffd9	shoe 2
3	\\xffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb0043011112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363ffc00011080024003003012200021101031101ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffc4001f0100030101010101010101010000000000000102030405060708090a0bffc400b51100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9faffda000c03010002110311003f00e9252369ae6f565ce6b65a6c8aa3730f9b586028ba13e691d34717193b239fb543e774ae9edb887f0aa1158ed7ce2b4506d4c57566959565a1cf8ea6ea6a8e775b5ce6b9a65209e2bb2d420f333c563b69e7278ae5a1898d38d99143dc8d99d8fd99a9c22c75ada7b60074aa1749b335dae7ed3438e345d1d4a8428a8da9aee734039af3314bd91d31c55f42368b7533eca3d2aea266a611570aa6ea6a653a9766eb74acbbeef4515ee50f88d6bfc263bfdea7251457166879d0dcb515591d28a2b0c37c26a7ffd9	shoe 3
9	\\x6e6f2070696374757265	shoe 9
1	\\xffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb0043011112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363ffc00011080024003003012200021101031101ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffc4001f0100030101010101010101010000000000000102030405060708090a0bffc400b51100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9faffda000c03010002110311003f00adb4d18ad26b5c76aad2c5b6b9258691b61ab252205a9d2abf43522352a6bd9bd48cc6a29ad0b89528a86139ab0057b94358dcf26145b429b85355e5c3f4aca4b924f5ad2b43bf19a7884a11b9dd0a7ca466dc93d2945b915af1c008e94e96dc053c579318fb566ae97398dbfcbeb47db5477aadaa3f979c560c976c09e6bd9a11e48d8cefc8ec5d88f35b7a7751451518df80d99bf08e053a71f21a28af3309b9b52d8e475bea6b9890f34515ecad8e2abf19ffd9	shoe 1
10	\\xffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb0043011112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363ffc00011080024003003012200021101031101ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffc4001f0100030101010101010101010000000000000102030405060708090a0bffc400b51100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9faffda000c03010002110311003f00e9252369ae6f565ce6b65a6c8aa3730f9b586028ba13e691d34717193b239fb543e774ae9edb887f0aa1158ed7ce2b4506d4c57566959565a1cf8ea6ea6a8e775b5ce6b9a65209e2bb2d420f333c563b69e7278ae5a1898d38d99143dc8d99d8fd99a9c22c75ada7b60074aa1749b335dae7ed3438e345d1d4a8428a8da9aee734039af3314bd91d31c55f42368b7533eca3d2aea266a611570aa6ea6a653a9766eb74acbbeef4515ee50f88d6bfc263bfdea7251457166879d0dcb515591d28a2b0c37c26a7ffd9	new
\.


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.alembic_version (version_num) FROM stdin;
0.1.0
\.


--
-- Data for Name: collections; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.collections (id, name, extractor_id, active_projection_id, previous_projection_id, created_at) FROM stdin;
1	photos	1	2	1	2026-11-26 18:41:03.04494+00
3	products	1	1	\N	2026-11-26 18:41:15.451364+00
\.


--
-- Data for Name: descriptors; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.descriptors (extractor_id, sha256, width, height, descriptor) FROM stdin;
1	\\x55f5de1bf5f3769f4d514cf420236758df280fda1f096d1e6d4e4cbdf58acd59	48	36	[-0.014053345,0.032287598,0.035095215,-0.0029392242,0.046417236,0.04647827,-0.02017212,0.04055786,0.0009889603,-0.018081665,0.020263672,-0.18164062,-0.017990112,0.08605957,-0.017608643,0.034820557,0.03125,0.04864502,-0.0093307495,0.097351074,0.06225586,0.045196533,0.056793213,-0.085632324,-0.03717041,0.037841797,-0.061035156,0.053649902,0.08154297,-0.04611206,0.040100098,-0.036834717,0.014831543,0.15820312,0.079711914,-0.07159424,0.02255249,-0.06958008,0.09863281,0.073791504,0.029525757,0.005126953,0.04269409,0.09490967,-0.013648987,0.02394104,-0.0524292,-0.113708496,-0.13354492,-0.05621338,0.06738281,-0.03491211,-0.01259613,-0.06854248,0.013290405,0.0022621155,-0.027511597,-0.017791748,-0.12109375,0.13867188,0.06518555,-0.0063972473,-0.060028076,-0.0039711,0.043182373,0.013694763,-0.06414795,-0.020309448,-0.1697998,-0.046691895,-0.10913086,0.01701355,-0.17419434,0.09729004,0.013114929,-0.020248413,-0.085754395,-0.06384277,0.12194824,-0.009979248,-0.010604858,0.16821289,0.07019043,0.027511597,0.059051514,0.004169464,0.08099365,-0.014450073,-0.0670166,-0.010795593,0.048339844,-0.07733154,0.1541748,-0.10473633,-0.050598145,-0.037597656,0.057281494,-0.04699707,0.08972168,-0.023773193,-0.027389526,0.04663086,0.016952515,-0.020980835,0.08666992,0.12109375,0.081970215,0.12023926,0.04776001,0.09020996,-0.084472656,0.14550781,0.021820068,0.059906006,-0.014945984,-0.09674072,0.014419556,0.083984375,-0.06982422,-0.07293701,-0.034576416,-0.014205933,-0.041778564,-0.046020508,0.008346558,-0.07989502,0.115600586,0.1607666,-0.035736084,-0.031799316,-0.0569458,0.0859375,0.016235352,-0.076171875,0.038238525,0.021087646,-0.013412476,-0.05819702,0.043762207,-0.029556274,0.11633301,-0.016296387,0.05984497,0.03652954,-0.064697266,0.01977539,-0.04776001,0.025436401,-0.027038574,-0.05682373,-0.059387207,-0.123535156,0.03677368,0.07714844,0.042938232,0.010299683,0.0051078796,0.06323242,-0.045684814,0.0496521,-0.009590149,-0.0690918,-0.101501465,-0.0033740997,0.04525757,0.1348877,-0.0027008057,-0.015556335,-0.0446167,0.029647827,-0.027664185,0.0814209,0.033996582,0.080200195,0.03527832,0.038024902,-0.07318115,0.045043945,0.0289917,-0.040130615,0.046813965,-0.062072754,-0.04647827,-0.009628296,-0.0063705444,0.15710449,0.0021514893,0.09844971,-0.076416016,-0.032104492,0.021270752,0.007045746,-0.0007100105,0.009292603,-0.07348633,0.064453125,0.004928589,0.011894226,-0.0055160522,0.0020160675,0.014778137,0.08227539,0.068847656,-0.027175903,0.053375244,-0.028213501,0.07342529,0.001004219,0.076293945,0.05618286,0.001791954,0.021118164,0.007858276,0.0025501251,0.09387207,0.02720642,-0.020080566,0.046783447,-0.01235199,0.055633545,-0.021484375,0.037750244,-0.087890625,-0.03503418,-0.0107421875,0.048919678,-0.056274414,0.105895996,0.005958557,-0.013648987,-0.025390625,-0.04714966,0.09088135,0.037384033,0.008415222,-0.019821167,-0.026123047,0.010757446,-0.0059928894,-0.059448242,0.060516357,-0.059417725,0.033843994,0.012176514,0.03152466,-0.06567383,0.0013008118,0.03277588,0.014099121,0.010520935,0.03314209,-0.070007324,0.087890625,-0.029434204,0.040100098,-0.0011177063]
1	\\x68fd2d2826d897a91e60853ad85a1246b20406213a0085b70ea30cc6da3a45d3	48	36	[0.008178711,0.03439331,0.019714355,-0.02859497,0.06890869,0.034423828,-0.019058228,0.014213562,-0.010818481,0.0059013367,-0.0019330978,-0.14526367,-0.03955078,0.06750488,-0.01335907,-0.01361084,-0.0005187988,0.043060303,-0.023529053,0.08654785,0.053588867,0.041381836,0.060455322,-0.0859375,-0.00040388107,0.013496399,-0.06347656,0.06585693,0.09625244,-0.02243042,0.019821167,-0.03451538,-0.007610321,0.1459961,0.1071167,-0.101989746,0.053131104,-0.06402588,0.10211182,0.089660645,0.08770752,0.0090408325,0.028915405,0.13513184,-0.022140503,0.020629883,-0.044677734,-0.11151123,-0.08477783,-0.05810547,0.08441162,-0.044433594,-0.03857422,-0.04611206,0.020080566,-0.021484375,-0.034576416,-0.02432251,-0.10900879,0.10601807,0.087402344,-0.022888184,-0.04940796,0.03768921,0.035308838,0.0076560974,-0.03237915,-0.0032234192,-0.104003906,-0.10095215,-0.1328125,0.03692627,-0.14001465,0.11663818,0.0041160583,-0.06958008,-0.08679199,-0.05441284,0.14294434,0.0077285767,-0.017364502,0.13452148,0.06695557,0.03652954,0.07922363,0.068603516,0.08465576,-0.0019111633,-0.087768555,0.004180908,0.06329346,-0.1026001,0.15393066,-0.07409668,-0.07116699,-0.045806885,0.08581543,-0.024551392,0.105163574,-0.053955078,-0.052947998,0.09460449,-0.052337646,-0.022232056,0.10510254,0.1328125,0.10839844,0.15515137,0.022583008,0.088134766,-0.072265625,0.1595459,0.047912598,0.04498291,0.028869629,-0.08178711,-0.03378296,0.076660156,-0.025161743,-0.07946777,-0.08239746,0.0011148453,-0.0637207,-0.05947876,0.049865723,-0.08691406,0.07141113,0.13745117,-0.009155273,-0.047302246,-0.031707764,0.024627686,0.015098572,-0.07635498,0.012481689,0.010169983,0.029052734,-0.02708435,0.0012769699,-0.012565613,0.103759766,-0.028656006,0.00028467178,-0.0002682209,-0.04272461,0.034484863,-0.010093689,0.007610321,-0.03326416,-0.036224365,-0.06781006,-0.09185791,0.0036697388,0.080200195,0.013313293,-0.0146484375,0.008918762,0.0993042,-0.051361084,0.036102295,0.00566864,-0.10656738,-0.094055176,-0.04019165,0.0126953125,0.11193848,0.0033626556,-0.02357483,-0.04034424,0.046325684,-0.026824951,0.03289795,0.0368042,0.04937744,0.022384644,0.083618164,-0.042175293,0.04348755,-0.006919861,-0.052246094,0.022125244,-0.040527344,-0.08203125,-0.016784668,-0.03265381,0.14941406,0.037139893,0.080322266,-0.09515381,-0.026031494,0.051239014,0.049804688,-0.010848999,0.008590698,-0.048095703,0.050079346,-0.000111460686,0.036621094,0.044433594,0.02204895,0.04196167,0.074157715,0.06021118,0.010299683,0.039489746,-0.05496216,0.11199951,0.020950317,0.029129028,0.023208618,0.04019165,-0.01713562,0.036102295,-0.03463745,0.086242676,0.01322937,0.009468079,0.06890869,-0.021362305,0.07446289,-0.008995056,0.049102783,-0.01965332,-0.008338928,0.006137848,0.038146973,-0.062072754,0.1307373,-0.011192322,0.016464233,-0.058685303,0.0022144318,0.08215332,0.04626465,-0.041107178,-0.072509766,-0.052734375,0.023834229,0.01965332,-0.03326416,0.039123535,-0.0357666,0.028335571,0.0052490234,-0.0010242462,-0.06311035,0.0036296844,0.024230957,0.01499939,0.036254883,0.038970947,-0.05142212,0.12194824,-0.031555176,0.031585693,0.0017709732]
1	\\x721925589a087902409f23e60209b3004d82354317e14811ca0a61a1bd47c9d7	48	36	[-0.019134521,0.022659302,0.04208374,-0.035858154,0.03564453,0.03967285,-0.027160645,0.030944824,-0.01737976,0.015274048,0.022567749,-0.18603516,-0.029891968,0.10253906,-0.0061912537,0.03274536,-0.0031986237,0.06384277,-0.020004272,0.12573242,0.08123779,0.058807373,0.04196167,-0.029525757,-0.0036201477,0.058624268,-0.087890625,0.06604004,0.038360596,-0.053619385,-0.007217407,-0.08154297,-0.014549255,0.18762207,0.111450195,-0.11993408,0.06903076,-0.061035156,0.11010742,0.10357666,0.04196167,-0.0075645447,0.04159546,0.12286377,-0.02218628,0.035827637,-0.080444336,-0.08843994,-0.12683105,-0.056915283,0.06137085,-0.048339844,-0.035736084,-0.029312134,0.0023097992,0.0088272095,-0.019332886,-0.045135498,-0.10949707,0.0869751,0.041381836,0.012245178,-0.04373169,-0.021148682,0.06793213,-0.0026779175,-0.00066804886,0.02166748,-0.10687256,-0.10736084,-0.117492676,-0.00623703,-0.13659668,0.08129883,0.014350891,-0.047180176,-0.07702637,-0.07861328,0.13793945,-0.0236969,0.023147583,0.13220215,0.060302734,-0.01222229,0.09576416,0.026306152,0.064941406,-0.005744934,-0.08795166,-0.015991211,0.06317139,-0.13391113,0.14709473,-0.115478516,-0.0011777878,-0.0791626,0.056884766,-0.043060303,0.06976318,-0.060821533,-0.04244995,0.11590576,-0.049591064,0.0032672882,0.059539795,0.13928223,0.095703125,0.1295166,0.021759033,0.07342529,-0.07305908,0.13769531,0.02293396,0.016723633,0.06036377,-0.09655762,0.046447754,0.09423828,-0.045928955,-0.09515381,-0.05114746,-0.017211914,-0.04711914,-0.052947998,0.02357483,-0.09613037,0.08630371,0.11853027,-0.029022217,-0.0491333,-0.074523926,0.029464722,0.030822754,-0.036224365,0.019439697,-0.007648468,-0.0076446533,-0.05697632,0.0022258759,-0.023895264,0.116760254,-0.01928711,0.015975952,0.01586914,-0.05407715,0.062408447,-0.04748535,0.060516357,-0.05291748,-0.030075073,-0.048339844,-0.05331421,0.0309906,0.06781006,0.028961182,-0.020843506,0.012702942,0.06317139,-0.06726074,0.04083252,-0.008338928,-0.051849365,-0.09234619,-0.022750854,0.04663086,0.08917236,-0.013710022,-0.030883789,-0.031066895,0.01222229,0.0015239716,0.057891846,0.040863037,0.03817749,0.053131104,0.06210327,-0.077819824,0.064575195,0.00066280365,-0.049346924,0.012359619,-0.04385376,-0.059753418,0.005138397,-0.050872803,0.12084961,0.013679504,0.07684326,-0.119628906,-0.029586792,0.049468994,0.036499023,-0.008460999,0.008262634,-0.041656494,0.04208374,-0.00017952919,-0.0013608932,0.0039100647,0.017593384,0.057281494,0.06903076,0.059661865,0.01878357,0.036468506,-0.030761719,0.11218262,0.013923645,0.07562256,0.025177002,0.02217102,0.017974854,0.0435791,-0.01424408,0.079956055,0.00084400177,0.016082764,0.072387695,-0.005657196,0.05923462,-0.027648926,0.047180176,-0.0284729,-0.0020923615,-0.016738892,0.052642822,-0.03591919,0.11895752,-0.009277344,0.0003273487,-0.07019043,-0.032684326,0.101135254,0.05419922,0.01309967,-0.068481445,-0.055847168,0.024795532,0.016952515,-0.04107666,0.054626465,-0.037078857,0.003982544,0.0047035217,0.0054779053,-0.035308838,0.011116028,0.04031372,0.018066406,0.02520752,0.029388428,-0.09832764,0.096191406,-0.04751587,0.04397583,0.006214142]
1	\\x9a62d0f69049f444b98f583f20a6be795187b3f4c403c6a58a67b65f6f4e02d7	48	36	[-0.00062417984,0.033569336,0.030471802,0.0048294067,0.04925537,0.026000977,0.022964478,-0.010856628,-0.035705566,-0.009513855,-0.005317688,-0.15100098,-0.043945312,0.062683105,0.014221191,0.0037593842,0.01159668,0.06536865,0.026412964,0.03704834,0.04446411,0.076293945,0.056549072,-0.091918945,-0.035827637,0.0037002563,-0.05508423,0.05014038,0.0647583,-0.034576416,-0.007003784,-0.052490234,0.0059661865,0.1652832,0.05807495,-0.05682373,0.056732178,-0.09802246,0.066711426,0.08996582,0.03765869,0.029647827,0.093933105,0.07757568,-0.062164307,0.051757812,-0.03213501,-0.16210938,-0.091674805,-0.0042037964,0.121398926,-0.09399414,-0.04815674,0.0027828217,0.018997192,-0.025100708,-0.0892334,-0.014343262,-0.057800293,0.1427002,0.060577393,0.0049858093,-0.12164307,0.011116028,-0.06341553,0.008384705,-0.026824951,-0.004283905,-0.11175537,-0.089416504,-0.14086914,0.062561035,-0.07897949,0.14794922,0.049041748,-0.050872803,-0.14355469,-0.04815674,0.066223145,0.081848145,0.009284973,0.12878418,0.06317139,-0.0947876,0.023422241,-0.015823364,0.092285156,0.027404785,-0.08258057,0.019744873,-0.005050659,-0.13635254,0.13354492,-0.05331421,-0.055664062,-0.022460938,0.017730713,-0.035614014,0.057525635,-0.027801514,-0.027694702,0.024108887,-0.032043457,-0.021392822,0.10681152,0.09790039,0.10369873,0.12609863,0.09234619,0.07244873,-0.078186035,0.15686035,0.027069092,0.02230835,-0.0055999756,-0.05557251,-0.029541016,0.120910645,-0.02293396,-0.08087158,0.017242432,-0.03427124,-0.061950684,-0.004043579,-0.023132324,-0.013633728,0.054016113,0.13745117,-0.045928955,-0.034851074,-0.058685303,0.019714355,-0.030380249,-0.06274414,0.039916992,0.040771484,-0.0069236755,-0.0579834,0.026916504,-0.0124053955,0.08782959,0.0074005127,-0.00038909912,-0.0026168823,-0.043762207,0.05026245,0.0015296936,0.00016069412,-0.0362854,-0.024414062,-0.024307251,-0.15930176,0.020706177,-0.0019836426,0.0031223297,-0.028640747,0.021713257,0.12976074,-0.076538086,0.06945801,0.03503418,-0.113342285,-0.061828613,0.035003662,0.03942871,0.12408447,0.04611206,0.0044517517,-0.04486084,0.009216309,-0.024337769,0.038482666,0.04736328,0.09899902,-0.0046043396,0.06750488,-0.086120605,0.038513184,-0.02645874,-0.008865356,0.043151855,-0.09063721,-0.058288574,-0.0076065063,-0.019256592,0.1385498,-0.019180298,0.112854004,-0.089904785,-0.06726074,0.022781372,-0.002199173,0.02218628,0.0030345917,-0.03225708,0.012931824,0.03265381,0.018997192,0.021438599,0.014465332,0.054504395,0.056854248,0.080322266,-0.07513428,0.048675537,-0.018814087,0.07824707,-0.0008869171,0.07141113,0.052001953,0.021438599,0.024917603,0.07122803,-0.05026245,0.117370605,0.02960205,0.0049972534,0.06542969,-0.04940796,0.05908203,-0.077941895,0.028671265,-0.06427002,-0.05105591,-0.017044067,0.0067634583,-0.03930664,0.06933594,0.021743774,0.02128601,-0.054504395,-0.00016915798,0.04156494,0.035095215,-0.019943237,-0.05545044,-0.025238037,0.0050735474,-0.03515625,-0.052215576,0.05303955,-0.05807495,0.017303467,-0.03793335,0.08319092,-0.07336426,0.018554688,0.03857422,0.004901886,0.026123047,0.011917114,-0.061187744,0.08709717,0.013916016,0.07977295,-0.007949829]
1	\\xa2c202712619686dd88208a3215c4fc149f0d9047b9312233af7226886d71067	48	36	[-0.005332947,0.02027893,0.034576416,-0.02557373,0.046936035,0.03302002,-0.0362854,0.026885986,-0.010643005,0.011016846,0.023208618,-0.17163086,-0.024139404,0.08630371,-0.0047302246,0.019561768,-0.0059814453,0.053833008,-0.015701294,0.09637451,0.068481445,0.049804688,0.06298828,-0.05923462,-0.0012626648,0.03137207,-0.093933105,0.047180176,0.039031982,-0.026397705,0.023147583,-0.070007324,-0.00043702126,0.17907715,0.106933594,-0.095947266,0.06933594,-0.08325195,0.103393555,0.10369873,0.049682617,0.022918701,0.0473938,0.1048584,-0.031982422,0.032165527,-0.075805664,-0.109436035,-0.09515381,-0.034942627,0.06866455,-0.0413208,-0.034301758,-0.0037631989,0.031204224,-0.016540527,-0.03930664,-0.016967773,-0.093933105,0.08746338,0.07159424,-0.0057792664,-0.062683105,0.014755249,0.03353882,-0.003419876,-0.035858154,0.010398865,-0.10925293,-0.10595703,-0.14428711,0.012298584,-0.13513184,0.12237549,0.006839752,-0.060455322,-0.12261963,-0.07055664,0.12634277,0.011604309,-0.0019187927,0.1352539,0.07849121,-0.03100586,0.06951904,0.049987793,0.066101074,-0.036132812,-0.07861328,-0.012145996,0.04812622,-0.14135742,0.15307617,-0.07385254,-0.045806885,-0.028182983,0.043273926,-0.034210205,0.105651855,-0.04171753,-0.034454346,0.08404541,-0.03515625,-0.028152466,0.07775879,0.1652832,0.0927124,0.11260986,0.032806396,0.08331299,-0.068115234,0.14489746,0.035461426,0.020019531,0.047088623,-0.090270996,0.011833191,0.10656738,-0.025375366,-0.10961914,-0.03378296,3.4749508e-05,-0.04373169,-0.05505371,0.007698059,-0.1027832,0.08911133,0.097717285,-0.010215759,-0.03463745,-0.034088135,0.06665039,0.01586914,-0.05319214,0.038513184,0.016357422,0.008628845,-0.05596924,0.028442383,-0.03439331,0.12084961,-0.013641357,0.025268555,0.0032978058,-0.034484863,0.06958008,-0.020599365,0.039520264,-0.057556152,-0.038757324,-0.074645996,-0.0892334,0.03488159,0.023727417,0.030822754,-0.03503418,-0.00315094,0.06640625,-0.07867432,0.045043945,0.0158844,-0.11212158,-0.107666016,-0.03439331,0.033325195,0.111450195,-0.022384644,-0.02684021,-0.035888672,0.006046295,-0.008087158,0.04699707,0.0335083,0.03857422,0.048706055,0.05569458,-0.072753906,0.05722046,0.007129669,-0.06774902,0.025131226,-0.04888916,-0.08917236,-0.0056381226,-0.021560669,0.12683105,0.009742737,0.09448242,-0.10583496,-0.053741455,0.03643799,0.04067993,-0.012039185,0.017547607,-0.02609253,0.027450562,2.6404858e-05,0.016021729,0.04727173,0.018127441,0.061035156,0.07800293,0.06866455,-0.009315491,0.01939392,-0.019424438,0.09716797,0.018615723,0.05001831,0.03579712,0.024108887,0.014167786,0.045837402,-0.02015686,0.089660645,0.004009247,-0.0012226105,0.06958008,-0.032409668,0.06756592,-0.03475952,0.035247803,-0.04623413,-0.03378296,-0.008552551,0.044158936,-0.059539795,0.10638428,0.007331848,-0.0020427704,-0.0602417,0.0049934387,0.10266113,0.08520508,-0.020492554,-0.08459473,-0.04345703,0.0158844,-0.008163452,-0.05404663,0.07409668,-0.048950195,-0.00020003319,-0.00028467178,0.015304565,-0.038024902,0.0102005005,0.006477356,-0.0016469955,0.038726807,0.032318115,-0.0635376,0.08911133,-0.022079468,0.058898926,0.008132935]
1	\\xa59509ab28d5f59c5bb25a45d631e0e951c97c227a40a65bf7f1a8f61b0bb35d	48	36	[-0.02520752,0.012908936,0.05218506,-0.041748047,0.04727173,0.035125732,-0.013656616,0.04324341,-0.05593872,0.01210022,0.021881104,-0.15991211,-0.03010559,0.08227539,0.028396606,0.02659607,-0.041381836,0.07220459,-0.0037326813,0.07165527,0.07720947,0.08148193,0.047424316,-0.017547607,0.04650879,0.08227539,-0.067871094,0.06048584,0.027008057,-0.054870605,-0.02583313,-0.11010742,-0.006828308,0.14953613,0.10736084,-0.091674805,0.10571289,-0.0947876,0.073913574,0.14733887,0.05267334,0.07116699,0.05621338,0.10784912,-0.033294678,0.050994873,-0.022201538,-0.112976074,-0.111083984,-0.019424438,0.08178711,-0.064575195,0.017868042,-0.03817749,0.019577026,0.044677734,-0.05090332,-0.028945923,-0.016311646,0.06536865,0.09082031,0.050842285,-0.08068848,0.007850647,0.055541992,-0.023452759,0.04574585,0.030639648,-0.08099365,-0.10571289,-0.14782715,-0.012901306,-0.10986328,0.042999268,0.0061073303,-0.05645752,-0.111206055,-0.038024902,0.07354736,0.004398346,-0.020828247,0.13220215,0.09857178,-0.04083252,0.07183838,0.056365967,0.06213379,-0.025604248,-0.115234375,-0.017608643,0.07873535,-0.13708496,0.12060547,-0.119384766,0.018676758,-0.05697632,0.01878357,-0.045684814,0.062438965,-0.049468994,0.008049011,0.11175537,-0.040039062,-0.017974854,0.030960083,0.099853516,0.10021973,0.08734131,0.0010852814,0.09844971,-0.060028076,0.10424805,0.05908203,0.0013017654,0.10076904,-0.13195801,0.080322266,0.08441162,-0.051696777,-0.09051514,-0.045410156,-0.017166138,-0.028503418,-0.04196167,-0.043273926,-0.068115234,0.061828613,0.11968994,-0.043823242,-0.0725708,-0.04034424,-0.00831604,0.035583496,0.0024852753,-0.0058250427,-0.005607605,-0.03579712,-0.065979004,0.014595032,-0.020004272,0.070373535,-0.011367798,0.0060920715,-0.0070495605,-0.015556335,0.062561035,-0.026443481,0.11798096,-0.033081055,0.005542755,-0.036346436,-0.020019531,0.035339355,0.03753662,0.0690918,-0.070739746,0.0039901733,0.060913086,-0.077941895,0.008613586,-0.00762558,-0.101135254,-0.015899658,-0.013084412,0.050628662,0.07019043,-0.041534424,-0.02720642,-0.06793213,-0.039855957,-0.06414795,0.06878662,0.06298828,0.027664185,0.06414795,0.085998535,-0.0748291,0.08319092,-0.016921997,-0.08526611,0.024993896,-0.0259552,-0.07867432,-0.025177002,-0.021438599,0.093933105,-0.06121826,0.11462402,-0.14001465,-0.056732178,0.097351074,-0.0068588257,0.049621582,0.0014829636,-0.06311035,0.007671356,0.015213013,0.015014648,-0.020355225,-0.009628296,0.09033203,0.068603516,0.043182373,-0.0110321045,-0.024719238,-0.0127334595,0.09503174,0.030044556,0.06304932,0.074645996,0.022781372,0.026977539,0.04800415,-0.043823242,0.026275635,0.050048828,0.004173279,0.0881958,-0.061279297,0.06427002,-0.10772705,0.05557251,-0.011665344,-0.0149383545,0.028671265,0.026855469,-0.03704834,0.07678223,-0.02520752,-0.008514404,-0.07800293,-0.027252197,0.10223389,0.06732178,-0.028869629,-0.050109863,-0.04562378,-0.015449524,0.022262573,-0.037322998,0.028289795,-0.03894043,-0.012435913,0.008277893,-0.0034809113,-0.03717041,0.046875,0.004283905,-0.023849487,-0.023361206,0.018600464,-0.05670166,0.091430664,-0.003993988,0.073791504,0.023986816]
1	\\xef5f414f4f40b718ac5cee346068ae847c898f1bb9dfd2b9e8b0d6bbcbc66d94	48	36	[-0.0028457642,0.012527466,0.014480591,-0.03149414,0.05331421,0.012420654,0.0028705597,0.039367676,-0.053771973,-0.013717651,-0.011833191,-0.16296387,-0.0030517578,0.103149414,0.013442993,-0.0104599,-0.024810791,0.06939697,-0.00054836273,0.042663574,0.07952881,0.08557129,0.07531738,-0.062805176,-0.0011692047,0.10229492,-0.08258057,0.047576904,0.03677368,-0.035980225,-0.006904602,-0.07946777,0.005847931,0.17980957,0.11315918,-0.07824707,0.08557129,-0.09753418,0.08166504,0.12487793,0.036987305,0.046295166,0.087524414,0.10131836,-0.039855957,0.09387207,-0.061309814,-0.12451172,-0.06585693,-0.02722168,0.06756592,-0.06768799,-0.009399414,-0.0015563965,-0.0025405884,0.035125732,-0.055999756,-0.028640747,-0.07989502,0.10675049,0.040008545,-0.017562866,-0.09222412,0.053131104,-0.045440674,-0.032958984,-0.0062217712,0.023254395,-0.064941406,-0.0904541,-0.14416504,-0.009124756,-0.113586426,0.08288574,0.08569336,-0.097717285,-0.11151123,-0.033111572,0.07946777,0.029342651,0.040771484,0.14025879,0.084472656,-0.097961426,-0.0008363724,-0.023666382,0.10986328,-0.012535095,-0.09448242,0.011009216,0.013160706,-0.16992188,0.13635254,-0.11694336,-0.010231018,-0.060150146,0.0423584,-0.018005371,0.059265137,-0.051116943,-0.06427002,0.070251465,0.00198555,-0.009460449,0.054901123,0.10064697,0.11236572,0.060760498,0.02772522,0.059631348,-0.068603516,0.13671875,-0.002916336,0.015716553,0.0082473755,-0.11767578,-0.009284973,0.12915039,-0.003458023,-0.13305664,-0.040618896,0.02935791,-0.10192871,-0.013076782,-0.045928955,-0.072387695,0.06713867,0.11218262,-0.016036987,-0.036071777,-0.06298828,0.037475586,0.05291748,-0.017440796,0.0013437271,-0.022979736,-0.027389526,-0.054229736,0.066223145,0.0076065063,0.1217041,-0.011192322,-0.03250122,-0.014381409,-0.04171753,0.024627686,-0.026031494,0.04711914,-0.06021118,-0.01184082,-0.0051612854,-0.07562256,0.037902832,0.010673523,0.017440796,-0.031051636,0.021240234,0.10046387,-0.07922363,0.051971436,0.0046577454,-0.10064697,-0.07598877,0.0026474,0.06762695,0.035369873,-0.033966064,0.011451721,-0.03137207,-0.0042152405,-0.017562866,0.035003662,0.033233643,0.037628174,0.058685303,0.033721924,-0.057617188,0.03955078,0.0065574646,-0.027816772,0.017944336,-0.038146973,-0.02720642,-0.039855957,0.015136719,0.11236572,-0.023284912,0.12371826,-0.08520508,-0.04550171,0.04647827,0.028503418,0.032806396,-0.00025987625,-0.07507324,0.022033691,0.031143188,0.05303955,0.016616821,-0.017684937,0.060577393,0.06628418,0.06628418,-0.036499023,0.064941406,-0.027786255,0.106933594,0.023468018,0.03704834,0.052886963,0.014923096,0.026397705,0.04171753,-0.058441162,0.08898926,0.008712769,-0.020690918,0.0597229,-0.07965088,0.06463623,-0.07312012,0.035736084,-0.07434082,-0.059326172,-0.0062294006,0.07006836,-0.025970459,0.11315918,0.008232117,0.015029907,-0.06100464,0.014427185,0.07733154,0.047546387,-0.03060913,-0.036468506,-0.039367676,0.028671265,0.019607544,-0.04916382,0.043426514,-0.033081055,0.009086609,-0.02017212,0.06994629,-0.08129883,0.023864746,-0.0049438477,-0.010124207,-0.0048980713,0.03375244,-0.04989624,0.092041016,0.00390625,0.09869385,-0.011100769]
1	\\xf857d4326a73b5ec85788931821a4fa3a6e01b17a259f928055774e0e211a4b3	48	36	[-0.011375427,0.045898438,0.06921387,-0.0001860857,0.033081055,0.016021729,0.03564453,-0.017318726,-0.04244995,0.027420044,0.025405884,-0.13867188,-0.028152466,0.059387207,0.0085372925,0.00045609474,0.009857178,0.034240723,9.6678734e-05,0.049987793,0.06707764,0.07897949,0.0619812,-0.036895752,-0.030014038,0.08441162,-0.033691406,0.052459717,0.09106445,-0.03665161,-0.0121536255,-0.06329346,0.016189575,0.20239258,0.12792969,-0.07922363,0.0635376,-0.088134766,0.07092285,0.09661865,0.022827148,0.04727173,0.07098389,0.09075928,-0.061676025,0.026000977,-0.038269043,-0.09423828,-0.101135254,-0.02268982,0.07019043,-0.049621582,-0.03564453,-0.0076828003,0.00440979,0.026351929,-0.10241699,-0.04837036,-0.06866455,0.1005249,0.04107666,0.03918457,-0.079589844,-0.0055999756,0.051116943,-0.010826111,0.0063705444,-0.018066406,-0.10101318,-0.08532715,-0.13891602,0.019729614,-0.14929199,0.14111328,0.014274597,-0.051330566,-0.14013672,-0.07910156,0.09265137,0.054748535,-0.021484375,0.13464355,0.07751465,-0.041778564,0.041259766,0.0051078796,0.058135986,-0.010520935,-0.093811035,0.008934021,0.033050537,-0.1262207,0.1328125,-0.112854004,-0.056640625,-0.057128906,0.051849365,-0.04156494,0.072631836,-0.016967773,0.0011129379,0.09576416,-0.0030708313,-0.020202637,0.10614014,0.13061523,0.03579712,0.17077637,0.031555176,0.10882568,-0.06842041,0.15258789,0.03262329,0.06213379,0.016433716,-0.050964355,0.042785645,0.09295654,-0.06695557,-0.09399414,-0.029815674,0.010406494,-0.068603516,-0.02658081,0.016677856,-0.030700684,0.070617676,0.13366699,-0.034118652,-0.040893555,-0.03845215,0.0625,-0.0158844,-0.07531738,0.00023818016,0.052368164,-0.042877197,-0.0725708,0.040161133,-0.024856567,0.10687256,0.0058517456,0.03475952,0.014160156,-0.033203125,0.062347412,-0.032562256,0.041900635,-0.057281494,-0.0690918,-0.050628662,-0.07873535,0.03982544,0.074157715,-0.00015819073,-0.014984131,0.05557251,0.064941406,-0.053955078,0.06088257,0.019088745,-0.078125,-0.05493164,-0.0031356812,0.0143585205,0.13354492,0.011238098,0.0012521744,-0.05001831,-0.012931824,0.0074043274,0.05154419,0.046203613,0.07611084,0.018859863,0.058776855,-0.1282959,0.04824829,-0.034484863,-0.022781372,0.015609741,-0.057403564,-0.060943604,-0.01612854,-0.03274536,0.12298584,0.028564453,0.1394043,-0.12780762,-0.05419922,0.058685303,0.008522034,0.0050621033,-0.0256958,-0.0345459,0.027542114,0.004337311,-0.0020599365,0.006843567,0.012145996,0.04260254,0.045806885,0.052337646,0.028167725,-0.006122589,-0.010643005,0.06237793,0.016235352,0.087646484,0.05731201,0.064331055,0.044006348,0.025390625,-0.00957489,0.07702637,0.0116119385,-0.0262146,0.08441162,0.010276794,0.08935547,-0.017791748,0.037353516,-0.04055786,-0.01637268,0.027908325,0.03491211,-0.033996582,0.09466553,0.0027675629,0.0020523071,-0.06573486,-0.026290894,0.072021484,0.037384033,0.008911133,-0.05029297,-0.066467285,0.007408142,0.0039596558,-0.06225586,0.08154297,-0.022262573,0.06262207,0.009124756,0.013458252,-0.029327393,0.00042366982,0.008796692,0.028320312,0.02822876,0.0077056885,-0.080322266,0.099121094,-0.008216858,0.034210205,-0.0062828064]
\.


--
-- Data for Name: embedding_tables; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.embedding_tables (collection_id, projection_id, column_type, index_type, recall, recall_settings, created_at) FROM stdin;
1	1	vector	vector	\N	\N	2026-11-26 18:41:03.04494+00
1	2	vector	vector	1	{"k": 10, "m": 24, "queries": 8, "ef_construction": 128}	2026-11-26 18:41:05.514599+00
3	1	vector	vector	\N	\N	2026-11-26 18:41:15.451364+00
\.


--
-- Data for Name: embeddings_1_1; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.embeddings_1_1 (image_id, embedding) FROM stdin;
1	[-0.0140533075,0.032287512,0.03509512,-0.0029392166,0.046417113,0.04647815,-0.020172067,0.040557753,0.0009889577,-0.018081618,0.020263618,-0.18164015,-0.017990066,0.08605935,-0.017608596,0.034820464,0.031249918,0.048644893,-0.009330725,0.09735082,0.062255695,0.045196414,0.056793064,-0.0856321,-0.037170313,0.037841696,-0.061034996,0.05364976,0.08154275,-0.04611194,0.040099993,-0.03683462,0.014831504,0.15820271,0.079711705,-0.07159405,0.02255243,-0.0695799,0.09863255,0.07379131,0.029525679,0.0051269396,0.04269398,0.09490942,-0.013648951,0.023940977,-0.05242906,-0.1137082,-0.13354456,-0.05621323,0.06738263,-0.034912016,-0.012596098,-0.0685423,0.013290371,0.0022621097,-0.027511524,-0.017791701,-0.12109343,0.13867152,0.065185376,-0.0063972306,-0.06002792,-0.0039710896,0.04318226,0.013694727,-0.06414778,-0.020309394,-0.16979936,-0.04669177,-0.109130576,0.017013505,-0.17419387,0.097289786,0.013114895,-0.02024836,-0.08575417,-0.06384261,0.12194792,-0.009979222,-0.01060483,0.16821244,0.07019024,0.027511524,0.059051357,0.0041694534,0.08099344,-0.014450035,-0.06701642,-0.010795565,0.048339717,-0.07733134,0.1541744,-0.10473605,-0.05059801,-0.03759756,0.057281345,-0.046996947,0.08972144,-0.023773132,-0.027389454,0.046630736,0.01695247,-0.02098078,0.08666969,0.12109343,0.08197,0.120238945,0.047759883,0.09020972,-0.08447243,0.14550743,0.02182001,0.05990585,-0.014945945,-0.09674047,0.0144195175,0.08398415,-0.06982403,-0.07293682,-0.034576327,-0.014205895,-0.041778456,-0.04602039,0.008346535,-0.07989481,0.11560028,0.16076618,-0.03573599,-0.031799234,-0.05694565,0.08593728,0.016235309,-0.076171674,0.038238425,0.02108759,-0.01341244,-0.05819687,0.04376209,-0.029556196,0.1163327,-0.016296344,0.059844814,0.036529444,-0.064697094,0.019775338,-0.047759883,0.025436334,-0.027038503,-0.05682358,-0.05938705,-0.123534836,0.036773585,0.07714824,0.04293812,0.010299656,0.005107866,0.06323226,-0.045684695,0.04965197,-0.009590124,-0.06909162,-0.1015012,-0.003374091,0.04525745,0.13488734,-0.0027007987,-0.0155562945,-0.044616584,0.029647749,-0.027664112,0.08142068,0.033996493,0.08019999,0.035278227,0.0380248,-0.07318096,0.045043826,0.028991623,-0.04013051,0.046813842,-0.06207259,-0.04647815,-0.009628271,-0.0063705277,0.15710407,0.0021514837,0.098449446,-0.076415814,-0.032104407,0.021270696,0.007045727,-0.00071000867,0.009292578,-0.073486134,0.06445295,0.004928576,0.011894195,-0.005516038,0.0020160621,0.014778098,0.082275175,0.06884748,-0.027175833,0.053375103,-0.028213426,0.0734251,0.0010042164,0.076293744,0.056182712,0.0017919494,0.021118108,0.007858256,0.0025501184,0.093871824,0.02720635,-0.020080514,0.046783324,-0.012351957,0.0556334,-0.02148432,0.037750144,-0.087890394,-0.035034087,-0.01074216,0.04891955,-0.056274265,0.10589572,0.0059585413,-0.013648951,-0.025390558,-0.047149535,0.09088111,0.037383936,0.0084152,-0.019821115,-0.026122978,0.010757418,-0.0059928736,-0.059448086,0.060516197,-0.05941757,0.033843905,0.012176482,0.031524576,-0.06567366,0.0013008084,0.032775793,0.014099084,0.010520907,0.033142004,-0.07000714,0.087890394,-0.029434128,0.040099993,-0.0011177034]
2	[0.0081789745,0.034394417,0.01971499,-0.02859589,0.06891091,0.034424935,-0.01905884,0.014214019,-0.01081883,0.0059015267,-0.00193316,-0.14526835,-0.039552055,0.06750706,-0.0133595,-0.013611278,-0.00051881553,0.04306169,-0.02352981,0.08655064,0.053590592,0.04138317,0.060457267,-0.085940264,-0.00040389408,0.013496833,-0.063478604,0.06585906,0.09625554,-0.022431143,0.019821806,-0.03451649,-0.007610566,0.14600079,0.10712015,-0.10199303,0.053132813,-0.06402794,0.1021151,0.08966353,0.08771034,0.009041123,0.028916337,0.13513619,-0.022141216,0.020630546,-0.044679172,-0.11151482,-0.08478056,-0.05810734,0.08441434,-0.044435024,-0.03857546,-0.046113543,0.020081213,-0.021485066,-0.03457753,-0.024323292,-0.1090123,0.10602148,0.08740516,-0.022888921,-0.04940955,0.037690423,0.035309974,0.0076563437,-0.032380193,-0.003223523,-0.10400725,-0.1009554,-0.13281678,0.036927458,-0.14001915,0.11664194,0.004116191,-0.06958232,-0.086794786,-0.054414593,0.14294894,0.0077288253,-0.01736506,0.13452582,0.06695772,0.03653072,0.07922618,0.06860572,0.08465849,-0.0019112248,-0.08777138,0.004181043,0.06329549,-0.1026034,0.15393563,-0.074099064,-0.07116928,-0.04580836,0.085818194,-0.024552181,0.10516696,-0.053956814,-0.0529497,0.09460754,-0.05233933,-0.02223277,0.10510592,0.13281678,0.108401924,0.15515636,0.022583734,0.088137604,-0.07226795,0.15955104,0.04791414,0.04498436,0.028870558,-0.08178974,-0.033784047,0.07666262,-0.025162553,-0.07947033,-0.08240011,0.0011148811,-0.06372275,-0.059480675,0.04986733,-0.08691686,0.071413435,0.1374556,-0.009155568,-0.04730377,-0.031708784,0.024628479,0.015099058,-0.07635744,0.012482091,0.01017031,0.02905367,-0.027085222,0.001277011,-0.012566017,0.1037631,-0.028656928,0.00028468095,-0.00026822955,-0.042725984,0.034485973,-0.010094014,0.007610566,-0.03326523,-0.03622553,-0.06781224,-0.09186087,0.0036698568,0.08020277,0.013313722,-0.014648909,0.008919049,0.099307396,-0.051362738,0.036103457,0.0056688227,-0.10657081,-0.0940582,-0.040192943,0.012695721,0.11194208,0.003362764,-0.023575587,-0.04034554,0.046327174,-0.026825815,0.032899007,0.036805384,0.049379032,0.022385364,0.08362085,-0.04217665,0.04348895,-0.0069200834,-0.052247774,0.022125956,-0.040528648,-0.08203389,-0.016785208,-0.03265486,0.14941888,0.03714109,0.08032485,-0.09515687,-0.026032332,0.051240664,0.04980629,-0.010849348,0.008590975,-0.048097253,0.05008096,-0.00011146427,0.03662227,0.044435024,0.02204966,0.041963022,0.0741601,0.06021312,0.010300014,0.039491016,-0.054963928,0.11200312,0.020950992,0.029129965,0.023209365,0.040192943,-0.017136171,0.036103457,-0.034638565,0.086245455,0.013229796,0.009468383,0.06891091,-0.021362992,0.07446529,-0.008995346,0.049104363,-0.019653954,-0.008339196,0.0061380453,0.038148202,-0.06207475,0.1307415,-0.011192682,0.016464764,-0.05868719,0.002214503,0.082155965,0.04626614,-0.0411085,-0.0725121,-0.052736074,0.023834996,0.019653954,-0.03326523,0.039124794,-0.035767753,0.028336484,0.0052491925,-0.0010242792,-0.063112386,0.0036298013,0.024231737,0.014999872,0.03625605,0.038972203,-0.051423773,0.12195217,-0.031556193,0.03158671,0.0017710302]
3	[-0.02520723,0.0129087875,0.052184463,-0.04174757,0.04727119,0.03512533,-0.01365646,0.043242913,-0.05593808,0.012100081,0.021880854,-0.15991028,-0.030105246,0.08227445,0.028396282,0.026595766,-0.041381363,0.07220376,-0.0037326387,0.071654454,0.077208586,0.081481,0.047423773,-0.017547406,0.046508256,0.08227445,-0.06787032,0.060485147,0.027007747,-0.054869976,-0.025832834,-0.11010616,-0.00682823,0.14953442,0.10735961,-0.091673754,0.10571168,-0.09478651,0.073912725,0.14733718,0.052672736,0.07116618,0.056212734,0.107847884,-0.033294298,0.05099429,-0.022201285,-0.11297478,-0.11108271,-0.019424217,0.08178617,-0.06457446,0.017867837,-0.038177054,0.019576803,0.044677224,-0.05090274,-0.028945591,-0.01631146,0.06536791,0.09081928,0.050841704,-0.08068755,0.007850558,0.055541355,-0.02345249,0.045745324,0.030639298,-0.08099273,-0.10571168,-0.14782545,-0.012901158,-0.10986202,0.042998776,0.0061072605,-0.056456875,-0.11120478,-0.038024466,0.07354652,0.0043982957,-0.020828009,0.13220063,0.09857065,-0.040832054,0.07183756,0.056365322,0.062133078,-0.025603956,-0.115233056,-0.017608441,0.07873445,-0.1370834,0.12060409,-0.1193834,0.018676544,-0.056975666,0.018783355,-0.045684293,0.06243825,-0.049468428,0.008048919,0.11175409,-0.040038604,-0.017974649,0.03095973,0.099852376,0.10021858,0.08734031,0.0010852689,0.09844858,-0.06002739,0.104246855,0.059081357,0.0013017505,0.10076789,-0.1319565,0.08032135,0.08441065,-0.051696185,-0.0905141,-0.04540964,-0.017165942,-0.028503092,-0.04196119,-0.04327343,-0.06811445,0.061827905,0.11968857,-0.04382274,-0.072569974,-0.040343776,-0.008315945,0.03558309,0.0024852469,-0.005824976,-0.0056075407,-0.03579671,-0.06597825,0.014594865,-0.020004043,0.07037273,-0.0113676675,0.0060920017,-0.00704948,-0.015556158,0.06256032,-0.02644318,0.11797961,-0.033080675,0.005542692,-0.03634602,-0.020019302,0.03533895,0.037536193,0.06909101,-0.070738934,0.0039901277,0.06091239,-0.077941,0.008613488,-0.0076254928,-0.1011341,-0.015899476,-0.013084262,0.05062808,0.070189625,-0.041533947,-0.02720611,-0.067931354,-0.039855503,-0.06414721,0.06878583,0.06298756,0.027663868,0.06414721,0.08599755,-0.074828245,0.083189964,-0.016921803,-0.08526514,0.02499361,-0.025954904,-0.078673415,-0.025176713,-0.021438353,0.09393203,-0.06121756,0.11462271,-0.14001304,-0.05673153,0.09734996,-0.006858747,0.049621016,0.0014829466,-0.06310963,0.007671268,0.015212839,0.015014477,-0.020354992,-0.009628186,0.090330996,0.06860273,0.043181878,-0.011031978,-0.024718955,-0.012733314,0.09503065,0.030044211,0.06304859,0.07464514,0.022781111,0.02697723,0.048003603,-0.04382274,0.026275335,0.050048254,0.004173231,0.088194795,-0.061278597,0.06426928,-0.10772582,0.055571873,-0.011665211,-0.014938183,0.028670937,0.026855161,-0.037047915,0.07678135,-0.02520723,-0.0085143065,-0.078002036,-0.027251886,0.10223272,0.06732101,-0.0288693,-0.05010929,-0.045623258,-0.015449347,0.022262318,-0.03732257,0.02828947,-0.038939983,-0.012435771,0.008277798,-0.0034808714,-0.037169985,0.046874464,0.004283856,-0.023849213,-0.023360938,0.018600252,-0.056701012,0.09142962,-0.0039939424,0.07379066,0.023986543]
4	[-0.0006241762,0.03356914,0.030471623,0.0048293783,0.049255084,0.026000824,0.022964343,-0.010856565,-0.035705358,-0.009513799,-0.005317657,-0.1510001,-0.043945055,0.06268274,0.0142211085,0.0037593623,0.011596612,0.06536827,0.02641281,0.037048124,0.04446385,0.0762935,0.05654874,-0.09191841,-0.035827428,0.0037002347,-0.05508391,0.050140087,0.06475792,-0.034576215,-0.007003743,-0.05248993,0.0059661516,0.16528223,0.058074612,-0.0568234,0.056731846,-0.09802189,0.06671104,0.08996529,0.03765847,0.029647654,0.093932554,0.07757523,-0.062163945,0.05175751,-0.032134824,-0.16210842,-0.09167427,-0.0042037717,0.12139822,-0.09399359,-0.048156455,0.0027828054,0.01899708,-0.02510056,-0.08923288,-0.014343178,-0.057799954,0.14269936,0.06057704,0.00498578,-0.12164236,0.011115963,-0.063415155,0.008384655,-0.026824795,-0.00428388,-0.111754715,-0.08941598,-0.14086832,0.06256067,-0.07897903,0.14794835,0.04904146,-0.050872505,-0.14355385,-0.048156455,0.06622276,0.08184767,0.009284919,0.12878343,0.063171014,-0.09478705,0.023422105,-0.015823271,0.09228462,0.027404625,-0.08258008,0.019744758,-0.00505063,-0.13635175,0.13354415,-0.053313896,-0.05566374,-0.022460807,0.017730609,-0.035613805,0.0575253,-0.027801352,-0.02769454,0.024108745,-0.03204327,-0.021392697,0.1068109,0.09789982,0.10369813,0.1260979,0.092345655,0.072448306,-0.07818558,0.15685944,0.027068933,0.02230822,-0.005599943,-0.055572186,-0.029540842,0.12090994,-0.022933826,-0.08087111,0.017242331,-0.03427104,-0.061950322,-0.0040435554,-0.023132188,-0.013633648,0.054015797,0.13745037,-0.045928687,-0.03485087,-0.05868496,0.01971424,-0.030380072,-0.062743776,0.039916757,0.040771246,-0.006923635,-0.05798306,0.026916347,-0.012405323,0.087829076,0.0074004694,-0.00038909685,-0.002616867,-0.04376195,0.050262157,0.0015296846,0.00016069318,-0.036285188,-0.02441392,-0.02430711,-0.15930083,0.020706056,-0.001983631,0.0031223116,-0.02864058,0.02171313,0.12975998,-0.07653764,0.069457605,0.035033975,-0.11334162,-0.061828252,0.035003457,0.03942848,0.12408375,0.046111792,0.0044517256,-0.04486058,0.009216255,-0.024337627,0.038482442,0.047363006,0.09899844,-0.0046043126,0.06750449,-0.0861201,0.03851296,-0.026458586,-0.008865304,0.043151602,-0.09063668,-0.058288235,-0.007606462,-0.01925648,0.138549,-0.019180186,0.11285335,-0.08990426,-0.06726035,0.02278124,-0.0021991602,0.022186149,0.003034574,-0.03225689,0.012931748,0.03265362,0.01899708,0.021438474,0.014465247,0.054504078,0.056853916,0.080321796,-0.07513384,0.048675254,-0.018813977,0.078246616,-0.00088691193,0.071410716,0.052001648,0.021438474,0.024917457,0.07122761,-0.050262157,0.11736992,0.029601878,0.004997224,0.06542931,-0.049407672,0.059081685,-0.07794144,0.028671097,-0.06426965,-0.05105561,-0.017043969,0.0067634187,-0.03930641,0.069335535,0.021743648,0.021285886,-0.054504078,-0.00016915699,0.0415647,0.03509501,-0.01994312,-0.055450115,-0.02523789,0.0050735176,-0.035156045,-0.05221527,0.05303924,-0.058074612,0.017303366,-0.03793313,0.08319043,-0.073363826,0.01855458,0.038573995,0.0049018576,0.026122894,0.011917044,-0.061187387,0.08709666,0.013915935,0.07977248,-0.007949783]
5	[-0.011375826,0.045900047,0.069216296,-0.00018609222,0.033082213,0.01602229,0.03564578,-0.017319333,-0.042451438,0.027421005,0.025406774,-0.13867673,-0.028153453,0.05938929,0.008537591,0.00045611072,0.009857523,0.034241922,9.6682124e-05,0.049989544,0.06707999,0.078982264,0.061983373,-0.036897045,-0.03001509,0.08441458,-0.033692587,0.052461557,0.09106764,-0.036652897,-0.012154051,-0.06329568,0.016190143,0.20239967,0.12793417,-0.07922641,0.063539825,-0.08813786,0.07092534,0.09662204,0.02282795,0.047273386,0.070986375,0.09076246,-0.061678186,0.026001887,-0.038270384,-0.09424158,-0.1011388,-0.022690615,0.07019289,-0.04962332,-0.03564578,-0.0076830694,0.0044099446,0.026352853,-0.10242058,-0.048372056,-0.06866696,0.10052843,0.041078098,0.039185945,-0.07959263,-0.0056001716,0.051118735,-0.01082649,0.0063707675,-0.01806704,-0.10101672,-0.085330136,-0.13892089,0.019730305,-0.14929722,0.14111823,0.014275097,-0.051332366,-0.14014164,-0.079104334,0.092654616,0.054750454,-0.021485128,0.13464828,0.07751737,-0.04178003,0.04126121,0.0051080585,0.058138024,-0.010521304,-0.09381432,0.008934334,0.033051696,-0.12622513,0.13281715,-0.11285796,-0.05664261,-0.057130907,0.051851183,-0.041566398,0.072634384,-0.016968368,0.0011129769,0.09576751,-0.0030709389,-0.020203345,0.106143855,0.13061981,0.035798375,0.17078236,0.031556282,0.1088295,-0.06842281,0.15259324,0.032624435,0.06213597,0.016434291,-0.05096614,0.042787146,0.0929598,-0.06695791,-0.093997434,-0.029816719,0.010406859,-0.06860592,-0.026581742,0.016678441,-0.03070176,0.07062015,0.13367167,-0.03411985,-0.04089499,-0.038453497,0.06250219,-0.015884956,-0.07532002,0.00023818851,0.05237,-0.0428787,-0.07257334,0.04016254,-0.02485744,0.106876306,0.0058519505,0.03476074,0.014160653,-0.033204287,0.0623496,-0.032563396,0.041902103,-0.057283502,-0.06909422,-0.050630435,-0.07873811,0.039826836,0.074160315,-0.00015819627,-0.014984656,0.055574458,0.06494368,-0.05395697,0.060884703,0.019089414,-0.07812774,-0.054933567,-0.003135791,0.014359023,0.1335496,0.011238492,0.0012522183,-0.050020065,-0.012932277,0.0074045868,0.051545996,0.046205234,0.07611351,0.018860525,0.058778916,-0.1283004,0.048249982,-0.03448607,-0.022782171,0.015610288,-0.057405576,-0.060945738,-0.016129104,-0.03274651,0.122990154,0.028565453,0.13940918,-0.1278121,-0.05420112,0.05868736,0.008522333,0.0050622807,-0.025696702,-0.03454711,0.02754308,0.0043374626,-0.0020600087,0.0068438067,0.012146422,0.042604033,0.04580849,0.05233948,0.028168712,-0.006122804,-0.010643379,0.062380116,0.01623592,0.087649554,0.05731402,0.06433331,0.04400789,0.025391515,-0.009575225,0.077029064,0.011612345,-0.026215518,0.08441458,0.010277155,0.0893586,-0.017792372,0.037354823,-0.040559284,-0.016373254,0.027909303,0.03491333,-0.033997774,0.09466884,0.00276766,0.002052379,-0.065737166,-0.026291816,0.07202401,0.037385345,0.008911445,-0.05029473,-0.06646962,0.007408402,0.0039597945,-0.062258042,0.08154583,-0.022263354,0.06262427,0.009125075,0.013458723,-0.02932842,0.00042368466,0.008797,0.028321305,0.028229749,0.0077059586,-0.08032508,0.099124566,-0.008217146,0.034211405,-0.0062830267]
6	[-0.0053330446,0.020279303,0.03457705,-0.0255742,0.046936896,0.033020627,-0.036286067,0.02688648,-0.010643201,0.011017048,0.023209045,-0.171634,-0.024139848,0.0863053,-0.004730311,0.019562127,-0.005981555,0.053833995,-0.015701583,0.09637628,0.068482704,0.0498056,0.062989436,-0.059235707,-0.001262688,0.031372648,-0.09393483,0.047181044,0.039032698,-0.02639819,0.023148008,-0.07000861,-0.0004370293,0.17908044,0.10693555,-0.095949024,0.06933721,-0.08325348,0.103395455,0.10370064,0.04968353,0.022919122,0.04739467,0.10486032,-0.03198301,0.03216612,-0.07580706,-0.10943805,-0.09515555,-0.034943268,0.06866581,-0.04132156,-0.034302387,-0.003763268,0.031204797,-0.016540831,-0.039307363,-0.016968084,-0.09393483,0.08746499,0.07159555,-0.0057793725,-0.06268425,0.01475552,0.033539433,-0.003419939,-0.035858814,0.010399056,-0.109254934,-0.105958976,-0.14428976,0.012298809,-0.13513431,0.12237774,0.006839878,-0.060456432,-0.12262188,-0.07055794,0.1263451,0.011604522,-0.001918828,0.1352564,0.07849265,-0.03100643,0.06952032,0.04998871,0.06610229,-0.036133476,-0.07861473,-0.012146219,0.048127104,-0.14136001,0.15307899,-0.073853895,-0.045807727,-0.028183501,0.04327472,-0.034210835,0.10565379,-0.041718297,-0.03445498,0.08404695,-0.035156894,-0.028152982,0.07776022,0.16528624,0.0927141,0.11261193,0.032807,0.083314516,-0.068116486,0.14490013,0.035462078,0.020019898,0.047089487,-0.09027265,0.011833408,0.10656934,-0.025375832,-0.10962115,-0.033783577,3.4750145e-05,-0.043732494,-0.05505472,0.0076982,-0.10278509,0.08911297,0.09771908,-0.0102159465,-0.03463809,-0.03408876,0.06665161,0.015869431,-0.053193115,0.03851389,0.016357722,0.008629004,-0.055970266,0.028442904,-0.03439394,0.12085183,-0.013641608,0.025269018,0.0032978663,-0.034485497,0.06958135,-0.020599743,0.03952099,-0.05755721,-0.038758036,-0.07464737,-0.08923504,0.034882233,0.023727853,0.03082332,-0.035034824,-0.0031509977,0.06640747,-0.07867576,0.045044772,0.015884692,-0.11212364,-0.10766799,-0.03439394,0.033325806,0.111452244,-0.022385055,-0.026840704,-0.03588933,0.006046406,-0.008087306,0.046997935,0.033508915,0.038574927,0.04870695,0.0556956,-0.07275524,0.05722151,0.0071298,-0.06775027,0.025131688,-0.048890058,-0.089174,-0.005638226,-0.021561066,0.12683338,0.009742916,0.09448416,-0.105836906,-0.053742442,0.03643866,0.040680677,-0.012039405,0.01754793,-0.026093008,0.027451066,2.6405341e-05,0.016022023,0.047272597,0.018127775,0.061036278,0.07800436,0.06866581,-0.009315662,0.019394277,-0.019424794,0.09716975,0.018616064,0.050019227,0.035797775,0.02410933,0.0141680455,0.045838244,-0.020157231,0.08966229,0.0040093204,-0.0012226329,0.06958135,-0.032410264,0.067567155,-0.03476016,0.03524845,-0.04623498,-0.033783577,-0.008552709,0.044159748,-0.059540886,0.10638623,0.0073319827,-0.0020428079,-0.060242806,0.0049935305,0.10266302,0.08520664,-0.02049293,-0.08459628,-0.04345783,0.015884692,-0.008163602,-0.05404762,0.07409804,-0.048951093,-0.00020003685,-0.00028467702,0.015304847,-0.0380256,0.010200688,0.0064774747,-0.0016470258,0.03872752,0.032318708,-0.06353877,0.08911297,-0.022079874,0.058900006,0.008133084]
7	[-0.0028456952,0.012527162,0.014480241,-0.031493377,0.05331292,0.0124203535,0.0028704903,0.039366722,-0.053770673,-0.01371732,-0.011832905,-0.16295992,-0.003051684,0.10314692,0.013442668,-0.010459647,-0.024810191,0.0693953,-0.00054834946,0.042662542,0.07952689,0.08556922,0.07531556,-0.062803656,-0.0011691764,0.10229245,-0.08257857,0.047575753,0.03677279,-0.035979353,-0.006904435,-0.07946585,0.0058477893,0.17980522,0.11315644,-0.07824518,0.08556922,-0.09753182,0.081663065,0.124874905,0.03698641,0.046294045,0.0875223,0.10131591,-0.039854992,0.0938698,-0.06130833,-0.12450871,-0.06585534,-0.02722102,0.06756429,-0.06768635,-0.009399187,-0.0015563588,-0.002540527,0.035124883,-0.0559984,-0.028640054,-0.07989309,0.1067479,0.040007576,-0.017562442,-0.092221886,0.05312982,-0.045439575,-0.032958187,-0.006221621,0.023253832,-0.064939834,-0.09045191,-0.14416155,-0.009124535,-0.11358368,0.08288374,0.08569129,-0.09771492,-0.11150853,-0.03311077,0.07946585,0.029341942,0.040770497,0.14025539,0.084470615,-0.09795906,-0.0008363521,-0.02366581,0.10986062,-0.012534792,-0.094480135,0.01100895,0.013160387,-0.16991776,0.13634925,-0.11694053,-0.01023077,-0.06014869,0.042357374,-0.018004935,0.059263702,-0.051115707,-0.06426846,0.070249766,0.001985502,-0.00946022,0.054899793,0.10064454,0.112363,0.060759027,0.02772455,0.059629906,-0.068601854,0.13671544,-0.0029162655,0.015716173,0.008247176,-0.117672935,-0.009284749,0.12914726,-0.0034579395,-0.13305342,-0.040617913,0.0293572,-0.101926245,-0.013076466,-0.045927845,-0.072385944,0.06713705,0.112179905,-0.0160366,-0.036070906,-0.062986754,0.03747468,0.0529162,-0.017440373,0.0013436946,-0.02297918,-0.027388863,-0.054228425,0.06622154,0.0076063224,0.12170116,-0.011192051,-0.032500435,-0.01438106,-0.04171652,0.02462709,-0.026030865,0.047118,-0.060209725,-0.011840533,-0.0051611606,-0.075620726,0.037901916,0.010673265,0.017440373,-0.031050885,0.02123972,0.10046144,-0.07922172,0.051970176,0.0046576327,-0.10064454,-0.07598693,0.0026473359,0.067625314,0.035369016,-0.03396524,0.011451444,-0.03137131,-0.0042151385,-0.017562442,0.035002816,0.033232838,0.037627265,0.058683883,0.033721108,-0.057615794,0.039549824,0.006557306,-0.0278161,0.017943902,-0.03814605,-0.027205763,-0.039854992,0.015136353,0.112363,-0.023284348,0.12371527,-0.085203014,-0.045500606,0.046477146,0.028502729,0.032805603,-0.00025986996,-0.075071424,0.022033159,0.031142434,0.053038266,0.016616419,-0.017684508,0.060575925,0.06628258,0.06628258,-0.03649814,0.064939834,-0.027785582,0.10693101,0.02346745,0.037047442,0.05288568,0.014922734,0.026397066,0.04171652,-0.058439746,0.088987105,0.008712558,-0.020690417,0.059721455,-0.07964895,0.064634666,-0.07311835,0.03573522,-0.074339025,-0.059324738,-0.0062292498,0.07006666,-0.025969831,0.11315644,0.008231917,0.015029543,-0.061003163,0.014426836,0.07732967,0.047545236,-0.03060839,-0.036467623,-0.039366722,0.028670572,0.019607069,-0.04916263,0.043425463,-0.033080254,0.009086389,-0.020171631,0.0699446,-0.08129686,0.023864169,-0.004943728,-0.010123962,-0.0048979525,0.033751626,-0.049895033,0.09203879,0.0039061555,0.098691456,-0.011100501]
8	[-0.019134652,0.022659456,0.042084027,-0.0358584,0.035644777,0.039673124,-0.02716083,0.030945037,-0.01737988,0.015274152,0.022567904,-0.18603644,-0.029892173,0.10253976,-0.006191296,0.032745585,-0.0031986455,0.06384321,-0.02000441,0.12573329,0.08123835,0.058807775,0.041961957,-0.02952596,-0.0036201726,0.05862467,-0.08789123,0.06604049,0.03836086,-0.053619754,-0.0072174566,-0.08154353,-0.014549355,0.18762335,0.11145096,-0.1199349,0.06903124,-0.061035573,0.110108174,0.10357737,0.041961957,-0.0075645964,0.041595746,0.12286461,-0.022186432,0.035827883,-0.08044489,-0.088440545,-0.12683192,-0.056915674,0.06137127,-0.048340175,-0.03573633,-0.029312335,0.002309815,0.00882727,-0.019333018,-0.045135807,-0.10949782,0.08697569,0.04138212,0.012245262,-0.043731987,-0.021148827,0.06793259,-0.0026779359,-0.00066805346,0.02166763,-0.10687329,-0.10736158,-0.11749348,-0.006237073,-0.13659762,0.08129939,0.01435099,-0.0471805,-0.077026896,-0.07861382,0.13794039,-0.023697061,0.023147741,0.13220306,0.060303148,-0.012222374,0.095764816,0.026306333,0.06494185,-0.0057449737,-0.08795226,-0.01599132,0.06317182,-0.13391206,0.14709574,-0.115479305,-0.0011777958,-0.07916314,0.056885157,-0.043060597,0.06976366,-0.06082195,-0.04245024,0.11590656,-0.049591403,0.0032673106,0.059540205,0.13928318,0.09570378,0.1295175,0.021759182,0.0734258,-0.07305958,0.13769625,0.022934116,0.016723748,0.060364183,-0.09655828,0.04644807,0.09423893,-0.04592927,-0.095154464,-0.05114781,-0.017212031,-0.047119465,-0.05294836,0.023574991,-0.09613103,0.0863043,0.118531086,-0.029022416,-0.049133636,-0.07452444,0.029464923,0.030822964,-0.036224615,0.019439831,-0.0076485206,-0.007644706,-0.05697671,0.0022258912,-0.023895428,0.11676105,-0.019287242,0.015976062,0.015869249,-0.05407752,0.062408876,-0.047485676,0.06051677,-0.05291784,-0.03007528,-0.048340175,-0.053314574,0.030990813,0.06781052,0.028961381,-0.02084365,0.0127030285,0.06317182,-0.067261204,0.0408328,-0.008338985,-0.05184972,-0.092346825,-0.022751011,0.04663118,0.089172974,-0.013710116,-0.030884001,-0.031067107,0.012222374,0.001523982,0.057892244,0.040863317,0.03817775,0.05313147,0.062103696,-0.07782036,0.064575635,0.0006628082,-0.049347263,0.012359704,-0.04385406,-0.059753828,0.0051384326,-0.050873153,0.12085044,0.013679598,0.07684379,-0.119629726,-0.029586995,0.049469333,0.036499273,-0.008461056,0.008262691,-0.04165678,0.042084027,-0.00017953043,-0.0013609026,0.0039100917,0.017593505,0.057281885,0.06903124,0.059662275,0.018783698,0.036468755,-0.03076193,0.112183385,0.01392374,0.07562308,0.025177175,0.022171173,0.017974976,0.0435794,-0.014244177,0.079956606,0.00084400753,0.016082874,0.072388195,-0.0056572347,0.059235025,-0.027649116,0.0471805,-0.028473096,-0.002092376,-0.016739007,0.052643184,-0.035919435,0.11895833,-0.009277407,0.00032735095,-0.070190914,-0.03268455,0.10113595,0.05419959,0.01309976,-0.068481915,-0.05584755,0.024795702,0.01695263,-0.041076943,0.05462684,-0.03707911,0.0039825714,0.004703554,0.005477943,-0.03530908,0.011116104,0.040313996,0.01806653,0.025207693,0.029388629,-0.09832831,0.09619206,-0.047516193,0.04397613,0.006214184]
\.


--
-- Data for Name: embeddings_1_2; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.embeddings_1_2 (image_id, embedding) FROM stdin;
1	[-0.50971854,0.26975155,0.061136432,0.81466776]
2	[-0.34967583,0.40618166,0.36558986,-0.76097786]
8	[0.241318,0.921462,0.19229394,0.23600069]
4	[-0.37299627,-0.84725815,-0.14967474,-0.34731096]
6	[-0.13155644,0.5127794,0.5280679,-0.66399884]
3	[0.94239205,0.08456189,-0.30073395,-0.11960621]
7	[0.338507,-0.5612799,0.6424236,0.3970765]
5	[-0.17218487,-0.028036809,-0.976844,0.12386313]
\.


--
-- Data for Name: embeddings_3_1; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.embeddings_3_1 (image_id, embedding) FROM stdin;
17	[-0.0140533075,0.032287512,0.03509512,-0.0029392166,0.046417113,0.04647815,-0.020172067,0.040557753,0.0009889577,-0.018081618,0.020263618,-0.18164015,-0.017990066,0.08605935,-0.017608596,0.034820464,0.031249918,0.048644893,-0.009330725,0.09735082,0.062255695,0.045196414,0.056793064,-0.0856321,-0.037170313,0.037841696,-0.061034996,0.05364976,0.08154275,-0.04611194,0.040099993,-0.03683462,0.014831504,0.15820271,0.079711705,-0.07159405,0.02255243,-0.0695799,0.09863255,0.07379131,0.029525679,0.0051269396,0.04269398,0.09490942,-0.013648951,0.023940977,-0.05242906,-0.1137082,-0.13354456,-0.05621323,0.06738263,-0.034912016,-0.012596098,-0.0685423,0.013290371,0.0022621097,-0.027511524,-0.017791701,-0.12109343,0.13867152,0.065185376,-0.0063972306,-0.06002792,-0.0039710896,0.04318226,0.013694727,-0.06414778,-0.020309394,-0.16979936,-0.04669177,-0.109130576,0.017013505,-0.17419387,0.097289786,0.013114895,-0.02024836,-0.08575417,-0.06384261,0.12194792,-0.009979222,-0.01060483,0.16821244,0.07019024,0.027511524,0.059051357,0.0041694534,0.08099344,-0.014450035,-0.06701642,-0.010795565,0.048339717,-0.07733134,0.1541744,-0.10473605,-0.05059801,-0.03759756,0.057281345,-0.046996947,0.08972144,-0.023773132,-0.027389454,0.046630736,0.01695247,-0.02098078,0.08666969,0.12109343,0.08197,0.120238945,0.047759883,0.09020972,-0.08447243,0.14550743,0.02182001,0.05990585,-0.014945945,-0.09674047,0.0144195175,0.08398415,-0.06982403,-0.07293682,-0.034576327,-0.014205895,-0.041778456,-0.04602039,0.008346535,-0.07989481,0.11560028,0.16076618,-0.03573599,-0.031799234,-0.05694565,0.08593728,0.016235309,-0.076171674,0.038238425,0.02108759,-0.01341244,-0.05819687,0.04376209,-0.029556196,0.1163327,-0.016296344,0.059844814,0.036529444,-0.064697094,0.019775338,-0.047759883,0.025436334,-0.027038503,-0.05682358,-0.05938705,-0.123534836,0.036773585,0.07714824,0.04293812,0.010299656,0.005107866,0.06323226,-0.045684695,0.04965197,-0.009590124,-0.06909162,-0.1015012,-0.003374091,0.04525745,0.13488734,-0.0027007987,-0.0155562945,-0.044616584,0.029647749,-0.027664112,0.08142068,0.033996493,0.08019999,0.035278227,0.0380248,-0.07318096,0.045043826,0.028991623,-0.04013051,0.046813842,-0.06207259,-0.04647815,-0.009628271,-0.0063705277,0.15710407,0.0021514837,0.098449446,-0.076415814,-0.032104407,0.021270696,0.007045727,-0.00071000867,0.009292578,-0.073486134,0.06445295,0.004928576,0.011894195,-0.005516038,0.0020160621,0.014778098,0.082275175,0.06884748,-0.027175833,0.053375103,-0.028213426,0.0734251,0.0010042164,0.076293744,0.056182712,0.0017919494,0.021118108,0.007858256,0.0025501184,0.093871824,0.02720635,-0.020080514,0.046783324,-0.012351957,0.0556334,-0.02148432,0.037750144,-0.087890394,-0.035034087,-0.01074216,0.04891955,-0.056274265,0.10589572,0.0059585413,-0.013648951,-0.025390558,-0.047149535,0.09088111,0.037383936,0.0084152,-0.019821115,-0.026122978,0.010757418,-0.0059928736,-0.059448086,0.060516197,-0.05941757,0.033843905,0.012176482,0.031524576,-0.06567366,0.0013008084,0.032775793,0.014099084,0.010520907,0.033142004,-0.07000714,0.087890394,-0.029434128,0.040099993,-0.0011177034]
18	[0.0081789745,0.034394417,0.01971499,-0.02859589,0.06891091,0.034424935,-0.01905884,0.014214019,-0.01081883,0.0059015267,-0.00193316,-0.14526835,-0.039552055,0.06750706,-0.0133595,-0.013611278,-0.00051881553,0.04306169,-0.02352981,0.08655064,0.053590592,0.04138317,0.060457267,-0.085940264,-0.00040389408,0.013496833,-0.063478604,0.06585906,0.09625554,-0.022431143,0.019821806,-0.03451649,-0.007610566,0.14600079,0.10712015,-0.10199303,0.053132813,-0.06402794,0.1021151,0.08966353,0.08771034,0.009041123,0.028916337,0.13513619,-0.022141216,0.020630546,-0.044679172,-0.11151482,-0.08478056,-0.05810734,0.08441434,-0.044435024,-0.03857546,-0.046113543,0.020081213,-0.021485066,-0.03457753,-0.024323292,-0.1090123,0.10602148,0.08740516,-0.022888921,-0.04940955,0.037690423,0.035309974,0.0076563437,-0.032380193,-0.003223523,-0.10400725,-0.1009554,-0.13281678,0.036927458,-0.14001915,0.11664194,0.004116191,-0.06958232,-0.086794786,-0.054414593,0.14294894,0.0077288253,-0.01736506,0.13452582,0.06695772,0.03653072,0.07922618,0.06860572,0.08465849,-0.0019112248,-0.08777138,0.004181043,0.06329549,-0.1026034,0.15393563,-0.074099064,-0.07116928,-0.04580836,0.085818194,-0.024552181,0.10516696,-0.053956814,-0.0529497,0.09460754,-0.05233933,-0.02223277,0.10510592,0.13281678,0.108401924,0.15515636,0.022583734,0.088137604,-0.07226795,0.15955104,0.04791414,0.04498436,0.028870558,-0.08178974,-0.033784047,0.07666262,-0.025162553,-0.07947033,-0.08240011,0.0011148811,-0.06372275,-0.059480675,0.04986733,-0.08691686,0.071413435,0.1374556,-0.009155568,-0.04730377,-0.031708784,0.024628479,0.015099058,-0.07635744,0.012482091,0.01017031,0.02905367,-0.027085222,0.001277011,-0.012566017,0.1037631,-0.028656928,0.00028468095,-0.00026822955,-0.042725984,0.034485973,-0.010094014,0.007610566,-0.03326523,-0.03622553,-0.06781224,-0.09186087,0.0036698568,0.08020277,0.013313722,-0.014648909,0.008919049,0.099307396,-0.051362738,0.036103457,0.0056688227,-0.10657081,-0.0940582,-0.040192943,0.012695721,0.11194208,0.003362764,-0.023575587,-0.04034554,0.046327174,-0.026825815,0.032899007,0.036805384,0.049379032,0.022385364,0.08362085,-0.04217665,0.04348895,-0.0069200834,-0.052247774,0.022125956,-0.040528648,-0.08203389,-0.016785208,-0.03265486,0.14941888,0.03714109,0.08032485,-0.09515687,-0.026032332,0.051240664,0.04980629,-0.010849348,0.008590975,-0.048097253,0.05008096,-0.00011146427,0.03662227,0.044435024,0.02204966,0.041963022,0.0741601,0.06021312,0.010300014,0.039491016,-0.054963928,0.11200312,0.020950992,0.029129965,0.023209365,0.040192943,-0.017136171,0.036103457,-0.034638565,0.086245455,0.013229796,0.009468383,0.06891091,-0.021362992,0.07446529,-0.008995346,0.049104363,-0.019653954,-0.008339196,0.0061380453,0.038148202,-0.06207475,0.1307415,-0.011192682,0.016464764,-0.05868719,0.002214503,0.082155965,0.04626614,-0.0411085,-0.0725121,-0.052736074,0.023834996,0.019653954,-0.03326523,0.039124794,-0.035767753,0.028336484,0.0052491925,-0.0010242792,-0.063112386,0.0036298013,0.024231737,0.014999872,0.03625605,0.038972203,-0.051423773,0.12195217,-0.031556193,0.03158671,0.0017710302]
19	[-0.02520723,0.0129087875,0.052184463,-0.04174757,0.04727119,0.03512533,-0.01365646,0.043242913,-0.05593808,0.012100081,0.021880854,-0.15991028,-0.030105246,0.08227445,0.028396282,0.026595766,-0.041381363,0.07220376,-0.0037326387,0.071654454,0.077208586,0.081481,0.047423773,-0.017547406,0.046508256,0.08227445,-0.06787032,0.060485147,0.027007747,-0.054869976,-0.025832834,-0.11010616,-0.00682823,0.14953442,0.10735961,-0.091673754,0.10571168,-0.09478651,0.073912725,0.14733718,0.052672736,0.07116618,0.056212734,0.107847884,-0.033294298,0.05099429,-0.022201285,-0.11297478,-0.11108271,-0.019424217,0.08178617,-0.06457446,0.017867837,-0.038177054,0.019576803,0.044677224,-0.05090274,-0.028945591,-0.01631146,0.06536791,0.09081928,0.050841704,-0.08068755,0.007850558,0.055541355,-0.02345249,0.045745324,0.030639298,-0.08099273,-0.10571168,-0.14782545,-0.012901158,-0.10986202,0.042998776,0.0061072605,-0.056456875,-0.11120478,-0.038024466,0.07354652,0.0043982957,-0.020828009,0.13220063,0.09857065,-0.040832054,0.07183756,0.056365322,0.062133078,-0.025603956,-0.115233056,-0.017608441,0.07873445,-0.1370834,0.12060409,-0.1193834,0.018676544,-0.056975666,0.018783355,-0.045684293,0.06243825,-0.049468428,0.008048919,0.11175409,-0.040038604,-0.017974649,0.03095973,0.099852376,0.10021858,0.08734031,0.0010852689,0.09844858,-0.06002739,0.104246855,0.059081357,0.0013017505,0.10076789,-0.1319565,0.08032135,0.08441065,-0.051696185,-0.0905141,-0.04540964,-0.017165942,-0.028503092,-0.04196119,-0.04327343,-0.06811445,0.061827905,0.11968857,-0.04382274,-0.072569974,-0.040343776,-0.008315945,0.03558309,0.0024852469,-0.005824976,-0.0056075407,-0.03579671,-0.06597825,0.014594865,-0.020004043,0.07037273,-0.0113676675,0.0060920017,-0.00704948,-0.015556158,0.06256032,-0.02644318,0.11797961,-0.033080675,0.005542692,-0.03634602,-0.020019302,0.03533895,0.037536193,0.06909101,-0.070738934,0.0039901277,0.06091239,-0.077941,0.008613488,-0.0076254928,-0.1011341,-0.015899476,-0.013084262,0.05062808,0.070189625,-0.041533947,-0.02720611,-0.067931354,-0.039855503,-0.06414721,0.06878583,0.06298756,0.027663868,0.06414721,0.08599755,-0.074828245,0.083189964,-0.016921803,-0.08526514,0.02499361,-0.025954904,-0.078673415,-0.025176713,-0.021438353,0.09393203,-0.06121756,0.11462271,-0.14001304,-0.05673153,0.09734996,-0.006858747,0.049621016,0.0014829466,-0.06310963,0.007671268,0.015212839,0.015014477,-0.020354992,-0.009628186,0.090330996,0.06860273,0.043181878,-0.011031978,-0.024718955,-0.012733314,0.09503065,0.030044211,0.06304859,0.07464514,0.022781111,0.02697723,0.048003603,-0.04382274,0.026275335,0.050048254,0.004173231,0.088194795,-0.061278597,0.06426928,-0.10772582,0.055571873,-0.011665211,-0.014938183,0.028670937,0.026855161,-0.037047915,0.07678135,-0.02520723,-0.0085143065,-0.078002036,-0.027251886,0.10223272,0.06732101,-0.0288693,-0.05010929,-0.045623258,-0.015449347,0.022262318,-0.03732257,0.02828947,-0.038939983,-0.012435771,0.008277798,-0.0034808714,-0.037169985,0.046874464,0.004283856,-0.023849213,-0.023360938,0.018600252,-0.056701012,0.09142962,-0.0039939424,0.07379066,0.023986543]
\.


--
-- Data for Name: evaluations; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.evaluations (id, evaluated_at, version, benchmark, variant, dataset, method, recipe, projection, search, measure, exact, by_index, costs) FROM stdin;
1	2026-11-26 18:41:13.11546+00	0.1.0	pairs		{"images": 8, "sha256": "d626d14b71b2cf002733bd53751f74763010ff9add4a0bb2f4412c53436a8da1", "queries": {"": 1}}	recipe	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	{"dim": 256, "kind": "raw", "fitted_on": "", "n_samples": 0, "images_sha256": ""}	{"alpha": 3.0, "expand": 0, "rerank": 0, "precision": "bfloat16", "augmentation": null}	mAP	0.16666666666666666	0.16666666666666666	{"image": 28.789883001081762, "query": 12.13616200038814}
2	2026-11-26 18:41:13.11546+00	0.1.0	pairs		{"images": 8, "sha256": "d626d14b71b2cf002733bd53751f74763010ff9add4a0bb2f4412c53436a8da1", "queries": {"": 1}}	recipe	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	{"dim": 256, "kind": "raw", "fitted_on": "", "n_samples": 0, "images_sha256": ""}	{"alpha": 3.0, "expand": 0, "rerank": 0, "precision": "bfloat16", "augmentation": null}	recall@10	1	1	{"image": 28.789883001081762, "query": 12.13616200038814}
3	2026-11-26 18:41:13.11546+00	0.1.0	pairs		{"images": 8, "sha256": "d626d14b71b2cf002733bd53751f74763010ff9add4a0bb2f4412c53436a8da1", "queries": {"": 1}}	recipe	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	{"dim": 4, "kind": "pca", "centre": true, "whiten": false, "fitted_on": "gallery", "n_samples": 8, "images_sha256": "f91f1fdcecc0c9a3dd122b4de19f23c1b38ee397bbe24d11ca4bb5dfec578e82", "regularisation": 0.0}	{"alpha": 3.0, "expand": 0, "rerank": 0, "precision": "bfloat16", "augmentation": null}	mAP	0.16666666666666666	0.16666666666666666	{"image": 28.789883001081762, "query": 5.515284001376131}
4	2026-11-26 18:41:13.11546+00	0.1.0	pairs		{"images": 8, "sha256": "d626d14b71b2cf002733bd53751f74763010ff9add4a0bb2f4412c53436a8da1", "queries": {"": 1}}	recipe	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	{"dim": 4, "kind": "pca", "centre": true, "whiten": false, "fitted_on": "gallery", "n_samples": 8, "images_sha256": "f91f1fdcecc0c9a3dd122b4de19f23c1b38ee397bbe24d11ca4bb5dfec578e82", "regularisation": 0.0}	{"alpha": 3.0, "expand": 0, "rerank": 0, "precision": "bfloat16", "augmentation": null}	recall@10	1	1	{"image": 28.789883001081762, "query": 5.515284001376131}
5	2026-11-26 18:41:13.11546+00	0.1.0	pairs		{"images": 8, "sha256": "d626d14b71b2cf002733bd53751f74763010ff9add4a0bb2f4412c53436a8da1", "queries": {"": 1}}	recipe	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	{"dim": 4, "kind": "whitened", "centre": true, "whiten": true, "fitted_on": "gallery", "n_samples": 8, "images_sha256": "f91f1fdcecc0c9a3dd122b4de19f23c1b38ee397bbe24d11ca4bb5dfec578e82", "regularisation": 0.0}	{"alpha": 3.0, "expand": 0, "rerank": 0, "precision": "bfloat16", "augmentation": null}	mAP	0.1	0.1	{"image": 28.789883001081762, "query": 5.155034001290915}
6	2026-11-26 18:41:13.11546+00	0.1.0	pairs		{"images": 8, "sha256": "d626d14b71b2cf002733bd53751f74763010ff9add4a0bb2f4412c53436a8da1", "queries": {"": 1}}	recipe	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	{"dim": 4, "kind": "whitened", "centre": true, "whiten": true, "fitted_on": "gallery", "n_samples": 8, "images_sha256": "f91f1fdcecc0c9a3dd122b4de19f23c1b38ee397bbe24d11ca4bb5dfec578e82", "regularisation": 0.0}	{"alpha": 3.0, "expand": 0, "rerank": 0, "precision": "bfloat16", "augmentation": null}	recall@10	1	1	{"image": 28.789883001081762, "query": 5.155034001290915}
\.


--
-- Data for Name: extractors; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.extractors (id, name, fingerprint, recipe, dim, created_at, parentage) FROM stdin;
1	mini-41704123	417041234470a02d122dc5072fd481428aad51129fe91de0ee3258c83839d1e8	{"fit": "warp", "flip": false, "relu": false, "size": 64, "gem_p": null, "layer": "conv10", "sigma": 0.5, "scales": [1.0], "pooling": "sum", "weights": "c6b1c95da715a0ad3c6945f7940c0b0c452b5194d3a375c03624ef19b8f290ea", "backbone": "mini", "codebook": null, "attention": null, "ceil_mode": true, "background": "white", "codebook_dim": null, "interpolation": "bilinear"}	256	2026-11-26 18:41:03.04494+00	\N
\.


--
-- Data for Name: failures; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.failures (collection_id, path, size, mtime_ns, reason, message, failed_at) FROM stdin;
1	/srv/shop/photos/broken.jpg	10	1795718454217558285	UnreadableImage	not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image	2026-11-26 18:41:03.412938+00
3	9	10	0	UnreadableImage	not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image	2026-11-26 18:41:19.328245+00
\.


--
-- Data for Name: images; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.images (id, collection_id, path, sha256, size, mtime_ns, width, height, metadata, ingested_at) FROM stdin;
3	1	/srv/shop/photos/2.jpg	\\xa59509ab28d5f59c5bb25a45d631e0e951c97c227a40a65bf7f1a8f61b0bb35d	823	1795718454216387645	48	36	{}	2026-11-26 18:41:03.412938+00
4	1	/srv/shop/photos/3.jpg	\\x9a62d0f69049f444b98f583f20a6be795187b3f4c403c6a58a67b65f6f4e02d7	812	1795718454216601917	48	36	{}	2026-11-26 18:41:03.412938+00
5	1	/srv/shop/photos/4.jpg	\\xf857d4326a73b5ec85788931821a4fa3a6e01b17a259f928055774e0e211a4b3	806	1795718454216818291	48	36	{}	2026-11-26 18:41:03.412938+00
6	1	/srv/shop/photos/5.jpg	\\xa2c202712619686dd88208a3215c4fc149f0d9047b9312233af7226886d71067	826	1795718454217012500	48	36	{}	2026-11-26 18:41:03.412938+00
7	1	/srv/shop/photos/6.jpg	\\xef5f414f4f40b718ac5cee346068ae847c898f1bb9dfd2b9e8b0d6bbcbc66d94	812	1795718454217198583	48	36	{}	2026-11-26 18:41:03.412938+00
8	1	/srv/shop/photos/7.jpg	\\x721925589a087902409f23e60209b3004d82354317e14811ca0a61a1bd47c9d7	820	1795718454217455169	48	36	{}	2026-11-26 18:41:03.412938+00
1	1	/srv/shop/photos/0.jpg	\\x55f5de1bf5f3769f4d514cf420236758df280fda1f096d1e6d4e4cbdf58acd59	837	1795718454211749423	48	36	{"kind": "shoe"}	2026-11-26 18:41:03.412938+00
2	1	/srv/shop/photos/1.jpg	\\x68fd2d2826d897a91e60853ad85a1246b20406213a0085b70ea30cc6da3a45d3	804	1795718454216137853	48	36	{"kind": "hat"}	2026-11-26 18:41:03.412938+00
17	3	1	\\x55f5de1bf5f3769f4d514cf420236758df280fda1f096d1e6d4e4cbdf58acd59	837	0	48	36	{"name": "shoe 1"}	2026-11-26 18:41:19.328245+00
18	3	2	\\x68fd2d2826d897a91e60853ad85a1246b20406213a0085b70ea30cc6da3a45d3	804	0	48	36	{"name": "shoe 2"}	2026-11-26 18:41:19.328245+00
19	3	3	\\xa59509ab28d5f59c5bb25a45d631e0e951c97c227a40a65bf7f1a8f61b0bb35d	823	0	48	36	{"name": "shoe 3"}	2026-11-26 18:41:19.328245+00
\.


--
-- Data for Name: projection_components; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.projection_components (projection_id, "position", component, scale, singular_value, explained) FROM stdin;
2	0	[-0.032377407,-0.045706525,0.017789004,-0.06983683,-0.0072408128,-0.009492153,-0.018060049,0.06094773,-0.078167506,0.022626765,0.010557981,-0.0071636927,0.017052405,0.03704628,0.058832563,0.016318643,-0.10861235,0.045634322,-0.0045756227,-0.008693598,0.048580457,0.05322024,-0.010596693,0.114225976,0.12588161,0.12621664,-0.03375606,0.005986019,-0.1107254,-0.032169953,-0.08018153,-0.12354947,-0.025311552,-0.005916205,0.049520954,-0.03229231,0.11682926,-0.031105692,-0.019935008,0.11686059,0.0060249073,0.08901532,0.013564918,0.017917318,0.0014725206,0.06448048,0.016731305,0.022360465,0.009934122,0.0303653,-0.02101095,-0.020675145,0.0840923,0.015068415,-0.0075190277,0.105746955,0.0114193605,-0.018957637,0.121265434,-0.10817674,0.016364057,0.073091954,-0.008911799,0.013129963,0.04100437,-0.06974206,0.14883739,0.08640768,0.110663965,-0.055846818,-0.036704928,-0.10055413,0.05290146,-0.14452024,0.012762549,-0.04625278,0.0013512648,0.04216223,-0.062623866,-0.041466597,0.013356509,-0.024142517,0.051016685,-0.08790068,0.008388985,0.0413337,-0.017265607,-0.04394707,-0.06303581,-0.030008098,0.056633018,-0.08487786,-0.04317032,-0.07697831,0.149552,-0.049874064,-0.054425344,-0.0023910126,-0.047153894,-0.042735007,0.036453128,0.096394144,-0.032406926,0.016945703,-0.1309697,-0.03733055,0.030703777,-0.11269577,-0.09309124,-0.00038244374,0.03174506,-0.08327556,0.021762682,-0.087252155,0.15854214,-0.107515715,0.13545166,0.0051209144,0.01255123,-0.04662729,-0.029496871,0.01476365,0.016434615,0.00054773764,-0.10789899,-0.027569607,-0.03936956,-0.05803934,-0.010370503,-0.054025985,-0.0008969842,-0.099544905,0.08751213,0.14675437,-0.06710288,-0.08267234,-0.059718747,-0.021979798,-0.005715885,0.01567996,-0.040019695,-0.0038436018,-0.06315386,-0.045930192,0.053370632,0.034566887,-0.0110871345,0.17499986,-0.013326652,0.094293445,0.048528872,0.18421476,0.023252655,-0.046661835,0.07285153,-0.10311307,-0.015262883,-0.04177096,-0.044588298,-0.068524346,-0.032561526,-0.009819855,0.1042893,-0.01602406,0.049441576,-0.13851169,-0.1103693,-0.016825596,-0.026110109,-0.10895115,-0.05560346,0.0121488925,0.031710062,-0.10010777,0.09223191,0.026238164,0.010407318,0.060530547,-0.017069457,-0.076434575,-0.030361924,0.07349778,-0.0076338137,-0.03242716,0.009139897,-0.099333964,-0.11841222,0.02403972,-0.07497584,-0.018453423,0.10512553,-0.022949714,0.082480356,-0.004697561,-0.029952163,-0.061721794,0.015265335,0.010234086,-0.057349417,-0.046243176,0.09736529,-0.0029265552,-0.039390083,0.021493936,-0.0853428,0.025894944,0.03611323,0.043294147,-0.014290393,0.04018619,-0.0067311097,0.023284197,0.025893155,-0.049972046,-0.11100566,0.030243719,0.013152978,0.039898586,-0.08520795,-0.0029410638,-0.13040054,0.02704223,0.06802449,0.014231998,0.04461208,0.013584643,0.036734316,-0.025325421,-0.04781782,-0.015081446,-0.059084572,0.0029569985,0.04889188,0.046198312,-0.030826421,-0.0027203201,-0.017231403,-0.02941039,0.061835036,0.02461476,-0.049224053,0.025803244,-0.08018802,0.009971118,-0.044076502,0.031848118,0.070016265,-0.05173004,-0.065962814,-0.08486017,-0.0061152778,0.012001608,-0.010979309,0.021716032,0.06350927,0.03646839]	5.185230814864749	0.5102475483791173	0.2971052666900542
2	1	[-0.017673135,0.0026845073,0.021988291,-0.039769918,-0.0041150106,0.041394137,-0.09149517,0.04538317,0.06812483,0.03784019,0.053263787,-0.03542825,-0.004499862,0.0187523,-0.050477084,0.047393948,0.009322946,-0.0273791,-0.07581809,0.14652693,0.022295067,-0.06556759,-0.02579664,0.048719015,0.037983954,-0.008696372,-0.024475483,0.026762925,0.016213486,-0.011545077,0.04397449,0.005848334,-0.025352895,-0.0093902135,0.05212017,-0.082280055,-0.022743845,0.06749234,0.069752276,-0.015971502,0.03817153,-0.065805934,-0.117960915,0.07040861,0.071217656,-0.087926924,-0.041481182,0.098227456,-0.06904543,-0.088494055,-0.06577486,0.088132344,0.008769667,-0.09001395,0.009109091,-0.003530867,0.108444415,-0.020879412,-0.08602175,-0.063419305,0.030396648,0.005661147,0.13019691,-0.053047676,0.23946553,0.023272255,-0.011535872,-0.00023620662,-0.054309256,-0.0102188,0.038318183,-0.050348897,-0.113005154,-0.057847958,-0.122866064,0.043452777,0.09543595,-0.053571794,0.13667521,-0.15483119,-0.049023632,0.015022795,-0.007212414,0.22912543,0.15131477,0.13245928,-0.05894054,-0.0527205,0.007298927,-0.05865635,0.13080855,0.07660612,0.034465298,-0.040157113,0.008518478,-0.03741646,0.07520883,-0.020803785,0.06729016,-0.027800921,0.007460828,0.113778144,-0.040213417,0.006894703,-0.020268153,0.08335001,-0.021955919,0.06633853,-0.089555636,0.035357304,0.0017148475,-0.011192607,0.04158231,0.026307974,0.08879276,-0.032161396,0.08454927,-0.08073593,-0.060680106,0.030254265,-0.109420784,-0.0022439405,0.06686195,-0.104404755,0.122832805,-0.12250092,0.063039124,0.0025224104,0.024906317,-0.021648312,0.018238703,0.03271071,0.04491976,-0.021563271,-0.0040062643,-0.02302706,0.04025804,0.016585613,-0.06627658,-0.04270654,0.022071857,-0.046388734,0.07653611,0.044508632,-0.012086044,0.01792662,-0.052311268,0.048472196,0.008622044,-0.03593443,-0.095808536,0.10470685,-0.005245428,0.1400913,0.049334534,0.025399605,-0.033848446,-0.10170038,0.036873084,-0.052180495,-0.05595545,0.06179743,-0.05762831,-0.107659094,-0.03338747,0.038074058,-0.055363286,-0.07526422,0.0017216541,0.039596733,0.010281197,0.04014907,-0.0069340034,-0.06032215,0.048395064,0.022897365,0.02107136,0.037789796,0.040172487,-0.08468837,-0.020490455,0.05411876,-0.051982615,0.031840354,-0.060240652,0.015015309,0.07595262,-0.07220672,-0.03623847,0.056405302,0.029990107,0.05225825,-0.071414486,0.019099679,0.00199859,0.0636647,-0.069124445,-0.04033035,-0.003719294,0.029279998,-0.020523816,0.031783868,-0.028910218,0.13983645,-0.045667276,-0.027549228,0.02917457,0.013897584,0.0019286153,-0.040939666,0.008974734,-0.038637333,-0.05373321,0.07783495,-0.053389985,-0.020114351,0.023654426,0.008674446,0.097601235,0.005279586,0.11052747,0.030477963,0.06769803,0.08951286,0.014503609,0.03044354,-0.03731455,0.06572129,-0.05016357,-0.040026844,-0.0014781776,-0.059149217,0.08862016,0.032628026,0.032879103,-0.032202944,-0.036200423,0.009041571,0.05344548,0.016702378,0.0069525684,0.01142683,-0.0010650385,0.08298927,-0.15595514,0.062266245,-0.025569776,0.015920142,0.02749311,0.024473628,0.027735466,-0.03741954,0.025464239,-0.10044406,-0.09870284,0.032808617]	5.314637092930556	0.4978235135911587	0.28281296076204254
2	2	[0.033736356,-0.050029643,-0.11994451,-0.061403356,0.05075654,0.010315959,-0.10777128,0.103015415,0.04124835,-0.070047304,-0.064682156,-0.053983215,0.036914933,0.079234295,-0.038090505,-0.024233025,-0.03184546,0.039740194,-0.038595546,0.052893963,0.011653764,-0.042992912,0.02479529,-0.08510688,0.033632483,-0.037367895,-0.10789481,-0.00049832975,-0.06054501,0.023000918,0.06424658,0.022757528,-0.029504264,-0.048446823,-0.020413086,-0.031449527,-0.0037099624,0.023793027,0.066888444,0.0055313422,0.06329055,-0.070782244,-0.027789101,0.056930374,0.07254992,0.07355845,-0.08027764,-0.03025083,0.059584495,-0.060323108,-0.020809518,0.008792571,0.00762781,-0.0150985,0.00014067141,-0.046587754,0.1391438,0.042144664,-0.1143543,0.01868379,0.011724446,-0.15959875,0.038527515,0.10972006,-0.12200696,-0.007063785,-0.09416588,0.05610636,0.025576212,-0.013950679,0.010227978,-0.030708687,0.0151339695,-0.06798695,0.085791074,-0.07694759,0.09431957,0.05377486,0.07141441,-0.09517759,0.10350078,0.015828222,-0.011971961,0.017195769,-0.018016756,0.0054957233,0.08953068,-0.010101414,0.026355745,-0.004697294,-0.0074034925,-0.036642414,0.04494415,0.027117157,0.023834066,0.0036583042,0.043869823,0.050295237,0.034553993,-0.07508051,-0.1617609,-0.032035604,-0.019240102,0.014544489,-0.051331967,0.0067571476,0.14740942,-0.14371184,-0.011732946,-0.09062396,-0.008702087,0.0054370807,-0.05793438,-0.05672475,-0.031259045,-0.09934345,-0.15272158,0.041671343,0.12297089,-0.056729317,-0.068724655,0.03905896,-0.05339215,-0.024957465,-0.015199308,-0.13949114,0.025292601,-0.036656193,0.067894205,0.02350658,-0.031156383,-0.0061949342,0.123580284,0.04578317,0.029275438,-0.13360377,0.0971701,0.065538414,0.015518745,0.044164386,0.05996681,-0.05805866,-0.09829922,-0.03421724,-0.03766245,-0.0744416,0.011337929,-0.055009708,-0.0040402883,0.067980535,0.022376353,-0.023184158,-0.026003193,-0.061795004,0.015217234,0.011689485,-0.08374524,0.05900343,-0.024428215,-0.013267069,-0.030296274,-0.03577598,-0.12397228,-0.04530524,0.0635608,-0.13337326,-0.07093071,-0.0091309035,0.056439336,0.089319825,-0.017133718,-0.04213187,-0.046432152,-0.0770735,0.061784573,-0.04173511,0.16356559,-0.028910443,0.10217277,-0.022076366,0.00078540226,0.037269045,0.032665968,-0.020865783,0.061750304,0.025171729,-0.007999208,-0.083664745,0.101347886,0.04921273,-0.054917447,0.095844276,-0.019614926,0.06809701,-0.053565342,0.03587218,0.015644597,0.10142933,0.072935015,-0.018977273,-0.002230081,0.057735644,0.03458554,-0.0736453,0.16191255,-0.065909,0.10470322,0.009037603,-0.11812392,-0.060170256,-0.08479871,-0.07775665,0.012834757,-0.057818912,0.053867534,-0.03869361,0.026981367,-0.058610395,-0.11311925,-0.04198258,-0.0035518873,-0.0012765416,-0.050447665,-0.052635767,-0.08424254,0.07841542,-0.021501921,0.08755527,0.009373005,0.026144063,0.023691263,0.083047345,0.028893817,0.028362889,-0.073453076,-0.011628333,0.04064454,0.06796004,0.03148206,0.030300803,-0.055095673,-0.023783283,-0.08510626,-0.034133174,0.060148973,-0.091559954,0.0063121114,-0.00538067,-0.041275684,-0.0045890785,0.07292993,0.04901172,0.009642965,-0.029081792,0.06406322,-0.010223454]	7.34780113055935	0.3600738866027507	0.14795571667661145
2	3	[-0.04708149,-0.010974666,0.019835236,0.029663652,-0.04742685,0.0069439,0.006887668,0.085261,0.004565035,-0.054386288,0.03205309,-0.081211135,0.08328929,0.07480128,-0.016224666,0.075995095,0.050560668,0.0071292818,0.0056151496,0.022101471,0.05103457,0.02239322,0.00831271,0.025233641,-0.072295375,0.16109876,0.00064416253,-0.020699557,-0.025565268,-0.056573097,0.033028673,-0.0126415705,0.050204545,0.05258825,0.0011800381,0.042593088,-0.0541492,0.00051945046,0.0046175933,-0.018093517,-0.13207178,-0.011081485,0.028201535,-0.05778937,0.034778737,0.046367276,-0.042135105,0.040921222,-0.08249475,-0.030263077,-0.090168916,0.043103214,0.07742991,-0.060718164,-0.057016175,0.11676746,0.035820164,-0.018371405,-0.07070678,0.055163477,-0.094787136,0.011101124,0.010204978,-0.05670995,0.032890882,-0.023085803,-0.045276817,-0.023959707,-0.0966625,0.12584366,0.06290491,-0.103780985,-0.11741168,-0.09255889,0.070022546,0.061612673,0.048493538,-0.013199229,-0.025780931,-0.08205183,0.055632688,0.08399585,0.01212018,-0.011010827,-0.07514708,-0.17798483,0.017522378,-0.038181078,0.033238813,-0.026461197,-0.02655776,0.033694975,0.0029349027,-0.14425994,0.07784782,-0.043620467,-0.014029319,-0.029236227,-0.04763133,0.043069463,0.0072202864,-0.054624543,0.19017354,0.028069476,-0.06799981,-0.038374104,-0.061974227,-0.102561556,-0.0029307776,-0.010241177,-0.022895468,-0.034099337,-0.10033152,0.049233835,-0.11414245,-0.06897047,0.10956155,0.018845221,-0.08686695,-0.027663628,0.036525946,0.033775076,-0.016896406,0.031360585,-0.084914155,-0.017974,0.10278709,0.0492736,-0.03337523,0.03466442,-0.07579714,0.14570484,0.07452532,0.023808762,0.004067996,-0.033110265,-0.119313225,-0.05946729,0.12735046,-0.0049860664,0.06574439,0.009807123,0.09074302,0.07637715,-0.06109703,-0.07281891,-0.11698902,0.05915509,-0.010092415,-0.04914415,0.052247252,0.0044774073,0.081290096,0.042590044,0.048873443,0.079688355,0.019259762,-0.09291363,0.027290577,0.027316289,-0.06518703,0.123998396,-0.02944905,0.060607307,0.09040854,-0.031891167,-0.06422301,0.037855268,0.010645359,-0.030157475,0.025277851,0.09503518,-0.021600759,0.026792416,0.06987428,-0.13395028,-0.049934484,-0.01001942,0.09787833,0.044070974,0.020760244,-0.0024411748,0.13251002,-0.015464799,0.07831256,0.0024255957,-0.048118193,0.052054908,0.04978203,0.023822706,-0.046128847,-0.059794776,0.025454456,-0.017812297,-0.10327427,0.055397745,0.010446735,-0.022994434,-0.123696715,-0.07095895,-0.07408318,0.013613464,0.0033202057,-0.022561707,0.06870353,0.03700275,-0.056955807,-0.02523968,0.07987823,0.06244292,-0.074607454,0.08557884,-0.09945292,0.07699606,0.002286318,-0.0001314372,-0.09209721,-0.055244196,0.018729324,-0.0294434,0.008959105,-0.01657995,-0.15863284,-0.053267136,-0.026237233,0.090674885,0.038379733,0.0039141965,0.023824539,-0.060183335,0.066813484,-0.10491866,0.033999443,-0.041859273,0.1147496,0.14687435,0.032105397,0.008001578,0.0087046325,-0.051963184,0.035378497,-0.013266677,0.03714514,0.031819098,0.06462253,-0.021590348,-0.014144159,-0.00675121,0.00990239,-0.079645164,0.0051929574,-0.044508573,-0.056493178,-0.013362172,0.018170398,-0.023800397]	8.90725195867884	0.29703339743148116	0.10068367575908477
\.


--
-- Data for Name: projections; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.projections (id, extractor_id, kind, dim, mean, n_samples, settings, fitted_on, fingerprint, created_at) FROM stdin;
1	1	raw	256	[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]	0	{}	{}	raw	2026-11-26 18:41:03.04494+00
2	1	pca	4	[-0.008799374,0.026815414,0.03722763,-0.020195618,0.047603607,0.030395508,-0.00685668,0.020879745,-0.028214812,0.0037999153,0.011780381,-0.1621399,-0.027103424,0.08123779,0.0028386116,0.011733562,-0.0028984547,0.056324005,-0.0057920963,0.075920105,0.0667305,0.064689636,0.057933807,-0.05868721,-0.007869899,0.05175209,-0.06819534,0.055423737,0.05934906,-0.038829803,0.0029945374,-0.06603241,0.0016762912,0.17098999,0.10146713,-0.08692932,0.06570053,-0.08204651,0.08843231,0.1036911,0.044878006,0.027987957,0.058656693,0.104408264,-0.035868645,0.041898727,-0.050909042,-0.114616394,-0.101257324,-0.03496456,0.07784653,-0.055610657,-0.024567604,-0.024045467,0.013416052,0.0067648888,-0.052410126,-0.028064728,-0.08202553,0.10430908,0.06225586,0.006828785,-0.07374954,0.01172781,0.022220612,-0.0054500103,-0.014247954,0.005009651,-0.1060791,-0.09148407,-0.13443756,0.015033245,-0.12970734,0.104068756,0.024192333,-0.05673027,-0.109825134,-0.05822754,0.10513306,0.019499302,0.00012540817,0.13825989,0.0749588,-0.03181839,0.054905295,0.021381378,0.07738876,-0.00993681,-0.08843231,-0.001584053,0.042853355,-0.12809753,0.14144897,-0.09633255,-0.034076095,-0.048433304,0.046747208,-0.036211014,0.07777023,-0.04070282,-0.030005574,0.0803833,-0.02416253,-0.017141104,0.07848549,0.123435974,0.091358185,0.12031174,0.03470254,0.08430481,-0.07164383,0.14225769,0.030498266,0.030386567,0.030153275,-0.09019089,0.015399933,0.098609924,-0.038916826,-0.094451904,-0.037563324,-0.005242653,-0.057167053,-0.037395477,-0.0007715225,-0.06882,0.07700348,0.127182,-0.028004646,-0.04340744,-0.04971695,0.039756775,0.015032768,-0.04937005,0.018043369,0.013064861,-0.012045383,-0.056123734,0.027950406,-0.018758774,0.1055603,-0.01089859,0.013666928,0.0056925714,-0.041277885,0.04825592,-0.026180744,0.042530596,-0.044704437,-0.032710552,-0.045828342,-0.086452484,0.030011177,0.04615879,0.025691524,-0.025705338,0.015761852,0.08102417,-0.066329956,0.045319557,0.0068473816,-0.091609955,-0.07552719,-0.009909868,0.038743973,0.1013298,-0.006697893,-0.013363242,-0.04326248,0.005806923,-0.019962072,0.051628113,0.041870117,0.055841446,0.037073612,0.06068039,-0.07659912,0.05247879,-0.005180478,-0.044275284,0.026016235,-0.050935745,-0.06281853,-0.014460087,-0.021220207,0.12775421,-0.0015506744,0.10508728,-0.10499573,-0.04564476,0.047964096,0.020249605,0.009702146,0.0027819276,-0.049289703,0.03178072,0.011001416,0.018520951,0.014330387,0.0073854923,0.052884102,0.06762695,0.062438965,-0.012738228,0.028937817,-0.025417328,0.092170715,0.015419364,0.06127739,0.047151566,0.026467204,0.019803047,0.039964676,-0.028573751,0.082424164,0.018158078,-0.004185915,0.06942749,-0.031480312,0.06678009,-0.046183586,0.040826797,-0.046635628,-0.027617693,0.00042629242,0.040308475,-0.04376602,0.101989746,4.4584274e-05,0.0038692057,-0.05921936,-0.013988897,0.083747864,0.05130005,-0.013824463,-0.05471611,-0.0443573,0.01262188,0.004140377,-0.048599243,0.054332733,-0.04169655,0.017817289,-0.002357304,0.026799679,-0.05290985,0.014495641,0.01881361,0.0055958033,0.017100334,0.025724411,-0.06642532,0.09560394,-0.015621662,0.05762863,0.0017067194]	8	{"dim": 4, "centre": true, "whiten": true, "regularisation": 0.0}	{"n_images": 8, "collections": ["photos"], "images_sha256": "f91f1fdcecc0c9a3dd122b4de19f23c1b38ee397bbe24d11ca4bb5dfec578e82"}	361d8399d790a257e319a6049ad729502a524f6712f7a153213fbd61b8a221e1	2026-11-26 18:41:05.469723+00
\.


--
-- Data for Name: queue; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.queue (collection_id, key, enqueued_at, due_at, lease, attempts, lost, rejected, rejections, rejected_since) FROM stdin;
3	1	2026-11-26 18:41:20.130508+00	2026-11-26 18:41:20.140041+00	\N	0	0	\N	0	\N
\.


--
-- Data for Name: runs; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.runs (id, collection_id, status, started_at, finished_at, summary) FROM stdin;
1	1	finished	2026-11-26 18:41:03.067606+00	2026-11-26 18:41:03.500555+00	{"n_new": 8, "n_seen": 9, "waited": {"write": 0.08526787199843966, "decode": 0.02829643999939435, "network": 0.2561724860006507}, "n_moved": 0, "seconds": 0.43499212200003967, "writing": 0.08532419900075183, "left_out": {}, "n_failed": 1, "n_pruned": 0, "n_reused": 0, "limited_by": "network", "n_unchanged": 0, "images_per_second": 18.391137667544402}
\.


--
-- Data for Name: source_changes; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.source_changes (id, collection_id, keys, changed_at) FROM stdin;
3	3	{10}	2026-11-26 18:41:20.151918+00
\.


--
-- Data for Name: sources; Type: TABLE DATA; Schema: spocdb; Owner: -
--

COPY spocdb.sources (collection_id, relation, key_column, key_type, image_column, kind, root, condition, metadata, allow_private, attached_at, judged) FROM stdin;
3	public.products	id	integer	photo	bytes	\N	id < 100	{name}	f	2026-11-26 18:41:15.451364+00	{"types": {"id": "integer"}, "condition": "id < 100"}
\.


--
-- Name: collections_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.collections_id_seq', 3, true);


--
-- Name: evaluations_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.evaluations_id_seq', 6, true);


--
-- Name: extractors_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.extractors_id_seq', 1, true);


--
-- Name: images_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.images_id_seq', 20, true);


--
-- Name: projections_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.projections_id_seq', 3, true);


--
-- Name: runs_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.runs_id_seq', 2, true);


--
-- Name: source_changes_id_seq; Type: SEQUENCE SET; Schema: spocdb; Owner: -
--

SELECT pg_catalog.setval('spocdb.source_changes_id_seq', 3, true);


--
-- Name: products products_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_pkey PRIMARY KEY (id);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: collections collections_name_key; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.collections
    ADD CONSTRAINT collections_name_key UNIQUE (name);


--
-- Name: collections collections_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.collections
    ADD CONSTRAINT collections_pkey PRIMARY KEY (id);


--
-- Name: descriptors descriptors_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.descriptors
    ADD CONSTRAINT descriptors_pkey PRIMARY KEY (extractor_id, sha256);


--
-- Name: embedding_tables embedding_tables_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.embedding_tables
    ADD CONSTRAINT embedding_tables_pkey PRIMARY KEY (collection_id, projection_id);


--
-- Name: embeddings_1_1 embeddings_1_1_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.embeddings_1_1
    ADD CONSTRAINT embeddings_1_1_pkey PRIMARY KEY (image_id);


--
-- Name: embeddings_1_2 embeddings_1_2_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.embeddings_1_2
    ADD CONSTRAINT embeddings_1_2_pkey PRIMARY KEY (image_id);


--
-- Name: embeddings_3_1 embeddings_3_1_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.embeddings_3_1
    ADD CONSTRAINT embeddings_3_1_pkey PRIMARY KEY (image_id);


--
-- Name: evaluations evaluations_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.evaluations
    ADD CONSTRAINT evaluations_pkey PRIMARY KEY (id);


--
-- Name: extractors extractors_fingerprint_key; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.extractors
    ADD CONSTRAINT extractors_fingerprint_key UNIQUE (fingerprint);


--
-- Name: extractors extractors_name_key; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.extractors
    ADD CONSTRAINT extractors_name_key UNIQUE (name);


--
-- Name: extractors extractors_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.extractors
    ADD CONSTRAINT extractors_pkey PRIMARY KEY (id);


--
-- Name: failures failures_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (collection_id, path);


--
-- Name: images images_collection_id_path_key; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.images
    ADD CONSTRAINT images_collection_id_path_key UNIQUE (collection_id, path);


--
-- Name: images images_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.images
    ADD CONSTRAINT images_pkey PRIMARY KEY (id);


--
-- Name: projection_components projection_components_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.projection_components
    ADD CONSTRAINT projection_components_pkey PRIMARY KEY (projection_id, "position");


--
-- Name: projections projections_extractor_id_fingerprint_key; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.projections
    ADD CONSTRAINT projections_extractor_id_fingerprint_key UNIQUE (extractor_id, fingerprint);


--
-- Name: projections projections_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.projections
    ADD CONSTRAINT projections_pkey PRIMARY KEY (id);


--
-- Name: queue queue_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (collection_id, key);


--
-- Name: runs runs_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);


--
-- Name: source_changes source_changes_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.source_changes
    ADD CONSTRAINT source_changes_pkey PRIMARY KEY (id);


--
-- Name: sources sources_pkey; Type: CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.sources
    ADD CONSTRAINT sources_pkey PRIMARY KEY (collection_id);


--
-- Name: embeddings_1_1_hnsw; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX embeddings_1_1_hnsw ON spocdb.embeddings_1_1 USING hnsw (embedding public.vector_ip_ops) WITH (m='24', ef_construction='128');


--
-- Name: embeddings_1_2_hnsw; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX embeddings_1_2_hnsw ON spocdb.embeddings_1_2 USING hnsw (embedding public.vector_ip_ops) WITH (m='24', ef_construction='128');


--
-- Name: embeddings_3_1_hnsw; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX embeddings_3_1_hnsw ON spocdb.embeddings_3_1 USING hnsw (embedding public.vector_ip_ops) WITH (m='24', ef_construction='128');


--
-- Name: evaluations_benchmark; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX evaluations_benchmark ON spocdb.evaluations USING btree (benchmark, evaluated_at);


--
-- Name: images_key_3; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE UNIQUE INDEX images_key_3 ON spocdb.images USING btree (((path)::integer)) WHERE (collection_id = 3);


--
-- Name: images_metadata; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX images_metadata ON spocdb.images USING gin (metadata jsonb_path_ops);


--
-- Name: images_sha256; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX images_sha256 ON spocdb.images USING btree (sha256);


--
-- Name: projections_raw; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE UNIQUE INDEX projections_raw ON spocdb.projections USING btree (extractor_id) WHERE (kind = 'raw'::text);


--
-- Name: queue_due; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX queue_due ON spocdb.queue USING btree (collection_id, due_at, key);


--
-- Name: runs_collection; Type: INDEX; Schema: spocdb; Owner: -
--

CREATE INDEX runs_collection ON spocdb.runs USING btree (collection_id);


--
-- Name: products spocdb_3_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER spocdb_3_delete AFTER DELETE ON public.products REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION spocdb.enqueue_3();


--
-- Name: products spocdb_3_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER spocdb_3_insert AFTER INSERT ON public.products FOR EACH ROW EXECUTE FUNCTION spocdb.enqueue_3();


--
-- Name: products spocdb_3_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER spocdb_3_truncate AFTER TRUNCATE ON public.products FOR EACH STATEMENT EXECUTE FUNCTION spocdb.enqueue_3();


--
-- Name: products spocdb_3_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER spocdb_3_update AFTER UPDATE OF id, name, photo ON public.products FOR EACH ROW EXECUTE FUNCTION spocdb.enqueue_3();


--
-- Name: images forget_embeddings; Type: TRIGGER; Schema: spocdb; Owner: -
--

CREATE TRIGGER forget_embeddings AFTER DELETE ON spocdb.images REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION spocdb.forget_embeddings();


--
-- Name: descriptors refuse_update; Type: TRIGGER; Schema: spocdb; Owner: -
--

CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.descriptors FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();


--
-- Name: extractors refuse_update; Type: TRIGGER; Schema: spocdb; Owner: -
--

CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.extractors FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();


--
-- Name: projection_components refuse_update; Type: TRIGGER; Schema: spocdb; Owner: -
--

CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.projection_components FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();


--
-- Name: projections refuse_update; Type: TRIGGER; Schema: spocdb; Owner: -
--

CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.projections FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();


--
-- Name: collections collections_active_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.collections
    ADD CONSTRAINT collections_active_fkey FOREIGN KEY (id, active_projection_id) REFERENCES spocdb.embedding_tables(collection_id, projection_id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: collections collections_extractor_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.collections
    ADD CONSTRAINT collections_extractor_id_fkey FOREIGN KEY (extractor_id) REFERENCES spocdb.extractors(id);


--
-- Name: descriptors descriptors_extractor_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.descriptors
    ADD CONSTRAINT descriptors_extractor_id_fkey FOREIGN KEY (extractor_id) REFERENCES spocdb.extractors(id);


--
-- Name: embedding_tables embedding_tables_collection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.embedding_tables
    ADD CONSTRAINT embedding_tables_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES spocdb.collections(id) ON DELETE CASCADE;


--
-- Name: embedding_tables embedding_tables_projection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.embedding_tables
    ADD CONSTRAINT embedding_tables_projection_id_fkey FOREIGN KEY (projection_id) REFERENCES spocdb.projections(id);


--
-- Name: failures failures_collection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.failures
    ADD CONSTRAINT failures_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES spocdb.collections(id) ON DELETE CASCADE;


--
-- Name: images images_collection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.images
    ADD CONSTRAINT images_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES spocdb.collections(id) ON DELETE CASCADE;


--
-- Name: projection_components projection_components_projection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.projection_components
    ADD CONSTRAINT projection_components_projection_id_fkey FOREIGN KEY (projection_id) REFERENCES spocdb.projections(id) ON DELETE CASCADE;


--
-- Name: projections projections_extractor_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.projections
    ADD CONSTRAINT projections_extractor_id_fkey FOREIGN KEY (extractor_id) REFERENCES spocdb.extractors(id);


--
-- Name: queue queue_collection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.queue
    ADD CONSTRAINT queue_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES spocdb.collections(id) ON DELETE CASCADE;


--
-- Name: runs runs_collection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.runs
    ADD CONSTRAINT runs_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES spocdb.collections(id) ON DELETE CASCADE;


--
-- Name: sources sources_collection_id_fkey; Type: FK CONSTRAINT; Schema: spocdb; Owner: -
--

ALTER TABLE ONLY spocdb.sources
    ADD CONSTRAINT sources_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES spocdb.collections(id) ON DELETE CASCADE;


--
-- Name: FUNCTION count_coverage(); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.count_coverage() FROM PUBLIC;


--
-- Name: FUNCTION enqueue_3(); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.enqueue_3() FROM PUBLIC;


--
-- Name: FUNCTION hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.hazard_of(relation regclass, columns text[], OUT hazard text, OUT advice text) FROM PUBLIC;


--
-- Name: FUNCTION judge_condition(tree text); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.judge_condition(tree text) FROM PUBLIC;


--
-- Name: FUNCTION lock_collection(collection bigint); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.lock_collection(collection bigint) FROM PUBLIC;


--
-- Name: FUNCTION lock_rows(collection bigint, keys text[]); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.lock_rows(collection bigint, keys text[]) FROM PUBLIC;


--
-- Name: FUNCTION open_source(collection bigint); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.open_source(collection bigint) FROM PUBLIC;


--
-- Name: FUNCTION project(raw public.vector, projection bigint); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.project(raw public.vector, projection bigint) FROM PUBLIC;


--
-- Name: FUNCTION source_keys(collection bigint); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.source_keys(collection bigint) FROM PUBLIC;


--
-- Name: FUNCTION source_rows(collection bigint, keys text[]); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.source_rows(collection bigint, keys text[]) FROM PUBLIC;


--
-- Name: FUNCTION take_in(collection bigint); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.take_in(collection bigint) FROM PUBLIC;


--
-- Name: FUNCTION target(collection text, OUT id bigint, OUT projection bigint, OUT dim integer, OUT index_type text, OUT table_name text, OUT hnsw regclass, OUT is_attached boolean); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.target(collection text, OUT id bigint, OUT projection bigint, OUT dim integer, OUT index_type text, OUT table_name text, OUT hnsw regclass, OUT is_attached boolean) FROM PUBLIC;


--
-- Name: FUNCTION types_of(relation regclass, columns text[]); Type: ACL; Schema: spocdb; Owner: -
--

REVOKE ALL ON FUNCTION spocdb.types_of(relation regclass, columns text[]) FROM PUBLIC;


--
-- PostgreSQL database dump complete
--


