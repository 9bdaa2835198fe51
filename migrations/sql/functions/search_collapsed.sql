CREATE OR REPLACE FUNCTION spocdb.search_collapsed(
    collection text,
    query      vector,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false,
    projection bigint DEFAULT NULL,
    left_out   bigint[] DEFAULT '{}'
)
RETURNS TABLE (id bigint, path text, distance double precision, metadata jsonb, method text, n_duplicates bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most      CONSTANT bigint := 2147483647;
    asked     bigint;
    n_found   bigint;
    ids       bigint[];
    distances double precision[];
    firsts    bigint[];
    others    bigint[];
BEGIN
    IF query IS NULL THEN
        RETURN;
    END IF;
    k := coalesce(k, 10);
    left_out := coalesce(array_remove(left_out, NULL), '{}');
    -- A negative k is refused by the search.
    asked := CASE WHEN k < 0 THEN k ELSE least(k::bigint + cardinality(left_out), most) END;
    LOOP
        SELECT array_agg(s.id ORDER BY s.distance, s.id) FILTER (WHERE s.id <> ALL (left_out)),
               array_agg(s.distance ORDER BY s.distance, s.id) FILTER (WHERE s.id <> ALL (left_out)),
               max(s.method), count(*)
        INTO ids, distances, method, n_found
        FROM search(collection, query, asked::integer, filter, exact, projection) s;
        SELECT array_agg(c.id), array_agg(c.n_duplicates) INTO firsts, others FROM collapse(collection, ids) c;
        -- A search returns fewer images than were asked for only if there are no more.
        EXIT WHEN n_found < asked OR asked = most OR k <= coalesce(cardinality(firsts), 0);
        asked := least(8 * asked, most);
    END LOOP;
    RETURN QUERY
        SELECT i.id, i.path, n.distance, i.metadata, search_collapsed.method, c.n_duplicates
        FROM unnest(firsts, others) AS c (id, n_duplicates)
        JOIN unnest(ids, distances) AS n (image_id, distance) ON n.image_id = c.id
        JOIN images i ON i.id = c.id
        ORDER BY n.distance, i.id LIMIT k;
END
$$;

COMMENT ON FUNCTION spocdb.search_collapsed(text, vector, integer, jsonb, boolean, bigint, bigint[]) IS
    'As spocdb.search, but of each group of duplicates only the nearest image, with the number of others in its group: k results are k groups; left_out: images that are no results, such as the one that is searched with';
