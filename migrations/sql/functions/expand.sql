CREATE OR REPLACE FUNCTION spocdb.expand(
    collection text,
    query      vector,
    neighbours integer DEFAULT 5,
    alpha      double precision DEFAULT 3,
    exact      boolean DEFAULT false,
    projection bigint DEFAULT NULL
)
RETURNS vector
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- An image at most this far away is the query itself, perhaps in another precision, or a copy of it, and
    -- is left out. The search returns `copies` images more, to make up for these.
    same     CONSTANT double precision := 1e-3;
    copies   CONSTANT integer := 10;
    n_joined integer := coalesce(neighbours, 5);
    unit     @extschema:vector@.vector := @extschema:vector@.l2_normalize(query);
    expanded @extschema:vector@.vector;
BEGIN
    SELECT @extschema:vector@.sum(
               embedding(collection, s.id, projection)
               OPERATOR(@extschema:vector@.*) array_fill(
                   -- What is smaller than 1e-30 would be too small for a real.
                   CASE WHEN coalesce(alpha, 3) * ln(greatest(1 - s.distance, 1e-300)) < ln(1e-30) THEN 0
                        ELSE power(greatest(1 - s.distance, 0), coalesce(alpha, 3)) END::real,
                   ARRAY[@extschema:vector@.vector_dims(unit)])::@extschema:vector@.vector)
    INTO expanded
    FROM (
        SELECT found.id, found.distance
        FROM search(collection, unit, n_joined + copies, '{}', exact, projection) found
        WHERE found.distance > same ORDER BY found.distance, found.id LIMIT n_joined
    ) s;
    RETURN coalesce(@extschema:vector@.l2_normalize(unit OPERATOR(@extschema:vector@.+) expanded), unit);
END
$$;

COMMENT ON FUNCTION spocdb.expand(text, vector, integer, double precision, boolean, bigint) IS
    'Query expansion: an embedding plus its nearest neighbours, each weighted by its similarity to the power of alpha (0: the plain average), normalised for search';
