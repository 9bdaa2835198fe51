CREATE OR REPLACE FUNCTION spocdb.compared_path(operator text, value jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$
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
    -- A date stands for its whole period: 2023-05 is May. It compares only with dates; the regular
    -- expression that tests this comes last, because it takes longest.
    test := CASE operator
        WHEN '=' THEN '@ starts with %1$s'
        WHEN '<=' THEN '(@ < %1$s || @ starts with %1$s)'
        WHEN '>' THEN '@ > %1$s && !(@ starts with %1$s)'
        ELSE '@ ' || operator || ' %1$s' END
        || ' && @ like_regex "^[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ].*)?)?)?$"';
    IF length(content) <= 10 THEN
        RETURN format(test, value);
    END IF;
    -- The time of a day may follow a T or a blank.
    RETURN (SELECT format('(@ starts with %1$s && %2$s || !(@ starts with %1$s) && %3$s)',
                          to_jsonb(left(content, 10) || ' '),
                          format(test, to_jsonb(overlay(content PLACING ' ' FROM 11 FOR 1))),
                          format(test, to_jsonb(overlay(content PLACING 'T' FROM 11 FOR 1)))));
END
$$;

COMMENT ON FUNCTION spocdb.compared_path(text, jsonb) IS
    'A strict jsonpath predicate that compares @ with a value by = < <= > or >=; numbers compare with numbers, dates with dates';
