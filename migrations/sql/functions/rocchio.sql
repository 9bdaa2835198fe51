CREATE OR REPLACE FUNCTION spocdb.rocchio(
    collection text,
    liked      bigint[],
    disliked   bigint[] DEFAULT '{}',
    query      vector DEFAULT NULL,
    projection bigint DEFAULT NULL
)
RETURNS vector
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$
    -- The usual weights: 1 for the query, 0.75 for the mean of the liked, 0.15 for that of the disliked
    -- (Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, 9.1.1).
    WITH parts (weight, embedding) AS (
        SELECT 1.0, @extschema:vector@.l2_normalize(query)
        UNION ALL
        SELECT 0.75, @extschema:vector@.avg(embedding(rocchio.collection, named.id, rocchio.projection))
        FROM (SELECT DISTINCT unnest(liked) AS id) named
        UNION ALL
        SELECT -0.15, @extschema:vector@.avg(embedding(rocchio.collection, named.id, rocchio.projection))
        FROM (SELECT DISTINCT unnest(disliked) AS id) named
    )
    SELECT @extschema:vector@.l2_normalize(@extschema:vector@.sum(
        p.embedding OPERATOR(@extschema:vector@.*) array_fill(
            p.weight::real, ARRAY[@extschema:vector@.vector_dims(p.embedding)])::@extschema:vector@.vector))
    FROM parts p WHERE p.embedding IS NOT NULL
$$;

COMMENT ON FUNCTION spocdb.rocchio(text, bigint[], bigint[], vector, bigint) IS
    'A query from images that are liked and disliked (Rocchio 1971): the embedding that is given, if any, plus 0.75 times the mean of the liked minus 0.15 times that of the disliked, normalised for search';
