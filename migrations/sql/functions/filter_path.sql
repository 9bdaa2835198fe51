CREATE OR REPLACE FUNCTION spocdb.filter_path(filter jsonb)
RETURNS jsonpath
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$
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
$$;

COMMENT ON FUNCTION spocdb.filter_path(jsonb) IS
    'A filter, {"key": value} or [["key", "operator", value], ...], for WHERE metadata @@ spocdb.filter_path(filter)';
