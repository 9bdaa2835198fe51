CREATE OR REPLACE FUNCTION spocdb.within(
    collection   text,
    query        vector,
    max_distance double precision,
    filter       jsonb DEFAULT '{}',
    projection   bigint DEFAULT NULL
)
RETURNS TABLE (id bigint, path text, distance double precision, metadata jsonb, method text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    goal   record;
    wanted jsonpath;
BEGIN
    IF query IS NULL OR max_distance IS NULL THEN
        RETURN;
    END IF;
    -- NaN is greater than every number.
    IF max_distance NOT BETWEEN 0 AND 2 THEN
        RAISE EXCEPTION 'max_distance is %, it goes from 0 to 2', max_distance
            USING ERRCODE = 'invalid_parameter_value', HINT = 'the cosine distance is 0 for the same direction, 2 for the opposite one';
    END IF;
    filter := coalesce(filter, '{}');
    IF filter NOT IN ('{}', '[]') THEN
        wanted := filter_path(filter);
    END IF;
    goal := target(collection, projection);
    -- The index finds a number of neighbours, and some of them not. So all embeddings are compared.
    RETURN QUERY EXECUTE format(
        'SELECT i.id, i.path, greatest(n.distance, 0), i.metadata, ''exact''
         FROM (SELECT e.image_id, 1 + (e.embedding OPERATOR(@extschema:vector@.<#>) $1::@extschema:vector@.%1$s) AS distance
               FROM spocdb.%2$I e) n
         JOIN spocdb.images i ON i.id = n.image_id
         WHERE n.distance <= $2 %3$s
         ORDER BY n.distance, i.id',
        goal.column_type, goal.table_name, CASE WHEN wanted IS NOT NULL THEN 'AND i.metadata @@ $3' END)
    USING unit_query(collection, goal.dim, query), max_distance, wanted;
END
$$;

COMMENT ON FUNCTION spocdb.within(text, vector, double precision, jsonb, bigint) IS
    'All images of a collection up to a cosine distance from an embedding, nearest first, compared exactly; filter and projection as of spocdb.search';
