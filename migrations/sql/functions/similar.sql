CREATE OR REPLACE FUNCTION spocdb.similar(
    collection text,
    image_id   bigint,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false,
    projection bigint DEFAULT NULL
)
RETURNS TABLE (id bigint, path text, distance double precision, metadata jsonb, method text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- Searches for k + 1, because the image itself is among the nearest.
    IF k = 2147483647 THEN
        RAISE EXCEPTION 'k is %, the most is %', k, k - 1
            USING ERRCODE = 'invalid_parameter_value', HINT = 'ask for fewer images';
    END IF;
    IF k < 0 THEN
        RAISE EXCEPTION 'k is %, the least is 0', k
            USING ERRCODE = 'invalid_parameter_value', HINT = 'ask for more images';
    END IF;
    RETURN QUERY
        SELECT s.*
        FROM search(collection, embedding(collection, image_id, projection), coalesce(k, 10) + 1, filter, exact, projection) s
        WHERE s.id <> image_id ORDER BY s.distance, s.id LIMIT coalesce(k, 10);
END
$$;

COMMENT ON FUNCTION spocdb.similar(text, bigint, integer, jsonb, boolean, bigint) IS
    'The k images of a collection that look most like one of its own, which is left out';
