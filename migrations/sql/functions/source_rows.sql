CREATE OR REPLACE FUNCTION spocdb.source_rows(collection bigint, keys text[])
RETURNS TABLE (key text, location text, content bytea, metadata jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
-- Rows hidden by row-level security would count as deleted.
SET row_security = off
-- Keeps the planner from evaluating CHECKs of the table.
SET constraint_exclusion = off
-- With `off` the strings of a condition may end elsewhere, so that it differs from the one judged.
SET standard_conforming_strings = on
AS $$
DECLARE
    source sources;
    -- A column of type json may hold escapes that jsonb refuses, and one would fail its whole batch:
    -- \u0000 and the first half of a surrogate pair without a second, then a second half without a first.
    -- Behind an odd number of backslashes they are plain text.
    first_refused  CONSTANT text :=
        '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89abAB][[:xdigit:]]{2}(?!\\u[dD][c-fC-F][[:xdigit:]]{2}))';
    second_refused CONSTANT text :=
        '(?<!\\)(?<!\\u[dD][89abAB][[:xdigit:]]{2})((?:\\\\)*)\\u[dD][c-fC-F][[:xdigit:]]{2}';
    -- U+FFFD, as in all text from outside that spocdb cleans.
    replacement    CONSTANT text := '\1\\ufffd';
BEGIN
    source := open_source(collection);
    IF source.collection_id IS NULL THEN
        RAISE EXCEPTION 'no table is attached as collection %', collection USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY EXECUTE format(
        E'SELECT t.%1$I::text, %2$s,
                 regexp_replace(regexp_replace(json_build_object(%3$s)::text, $2, $4, ''g''), $3, $4, ''g'')::jsonb
          FROM %4$s AS t
          WHERE t.%1$I = ANY ($1::%5$s[]) AND t.%6$I IS NOT NULL AND t.%6$I <> '''' AND (%7$s\n)',
        source.key_column,
        format(CASE source.kind WHEN 'bytes' THEN 'NULL::text, t.%I' ELSE 't.%I::text, NULL::bytea' END,
               source.image_column),
        (SELECT string_agg(format('%1$L, t.%1$I', m), ', ') FROM unnest(source.metadata) AS m),
        rows_of(source.relation), source.key_type, source.image_column, coalesce(source.condition, 'true'))
    USING keys, first_refused, second_refused, replacement;
END
$$;

COMMENT ON FUNCTION spocdb.source_rows(bigint, text[]) IS
    'The rows of an attached table with these keys that belong to its collection, with their images or the location of these';

REVOKE ALL ON FUNCTION spocdb.source_rows(bigint, text[]) FROM PUBLIC;
