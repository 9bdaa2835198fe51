CREATE OR REPLACE FUNCTION spocdb.condition_path(condition jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$
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
    -- Keys and values are written as JSON, which escapes every character that could end a jsonpath string.
    SELECT '$' || string_agg('.' || k.value::text, '' ORDER BY k.ordinality) INTO operand
    FROM jsonb_array_elements(keys) WITH ORDINALITY k;

    CASE operator
    WHEN 'exists' THEN
        IF jsonb_typeof(value) <> 'boolean' THEN
            RAISE EXCEPTION 'exists takes true or false, not %', left(value::text, 100) USING ERRCODE = 'invalid_name';
        END IF;
        -- In strict mode a predicate on a missing key is unknown.
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
        -- Back-references can make a regular expression take exponential time.
        IF jsonb_typeof(value) <> 'string' OR value #>> '{}' ~ '\\[1-9]' THEN
            RAISE EXCEPTION '~ takes a regular expression without back-references, as a text, not %', left(value::text, 100)
                USING ERRCODE = 'invalid_name';
        END IF;
        -- With this flag a dot matches a newline, as in PostgreSQL's operator ~.
        test := format('@ like_regex %s flag "s"', value);
    ELSE
        test := compared_path(operator, value);
    END CASE;
    -- A list matches if one of its elements does.
    RETURN format('(exists(%s ? (%s)) || exists(%1$s[*] ? (%2$s)))', operand, test);
END
$$;

COMMENT ON FUNCTION spocdb.condition_path(jsonb) IS
    'One condition of a filter, ["key", "operator", value], as a strict jsonpath predicate';
