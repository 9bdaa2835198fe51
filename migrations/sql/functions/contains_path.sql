CREATE OR REPLACE FUNCTION spocdb.contains_path(operand text, value jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    -- Keys and values are written as JSON, which escapes every character that could end a jsonpath string.
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

COMMENT ON FUNCTION spocdb.contains_path(text, jsonb) IS
    'A strict jsonpath predicate equivalent to operand @> value; operand is a jsonpath expression';
