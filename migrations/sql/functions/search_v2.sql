CREATE OR REPLACE FUNCTION spocdb.search(
    collection text,
    query      vector,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false
)
RETURNS TABLE (id bigint, path text, distance double precision, metadata jsonb, method text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
-- The choice between index and exact scan is made below, not by cost estimates; and where sequential
-- scans are disabled, servers before 18 take every exact scan for costly enough to compile it.
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    -- Up to so many matching images, comparing all of them is quicker than walking the index.
    few       CONSTANT integer := 5000;
    goal      record;
    unit      @extschema:vector@.vector;
    source    text;
    operand   text;
    statement text;
    ids       bigint[];
    distances double precision[];
    old_ef    text;
    old_scan  text;
BEGIN
    IF query IS NULL THEN
        RETURN;
    END IF;
    k := coalesce(k, 10);
    filter := coalesce(filter, '{}');
    exact := coalesce(exact, false);
    SELECT t.* INTO STRICT goal FROM target(search.collection) t;
    IF @extschema:vector@.vector_dims(query) <> goal.dim THEN
        RAISE EXCEPTION 'collection % has embeddings of % dimensions, the query has %',
            quote_ident(collection), goal.dim, @extschema:vector@.vector_dims(query)
            USING ERRCODE = 'data_exception', HINT = 'project a raw descriptor with spocdb.embed(collection, raw)';
    END IF;

    unit := @extschema:vector@.l2_normalize(query);
    method := CASE
        WHEN exact OR goal.hnsw IS NULL THEN 'exact'
        WHEN filter = '{}' THEN 'hnsw'
        WHEN (SELECT count(*) <= few
              FROM (SELECT FROM images i
                    WHERE i.collection_id = goal.id AND i.metadata @> filter LIMIT few + 1) m)
        THEN 'exact'
        ELSE 'hnsw iterative'
    END;
    source := format(
        CASE WHEN filter = '{}' THEN 'spocdb.%I e'
             ELSE 'spocdb.%I e JOIN spocdb.images i ON i.id = e.image_id AND i.metadata @> $3' END,
        goal.table_name);
    operand := format(
        '(e.embedding::@extschema:vector@.%1$s(%2$s) OPERATOR(@extschema:vector@.<#>) $1::@extschema:vector@.%1$s(%2$s))', goal.index_type, goal.dim);
    -- Only the bare operator can be read off the index; with a sum around it the scan is exact.
    statement := format(
        'SELECT array_agg(image_id), array_agg(distance)
         FROM (SELECT e.image_id, 1 + %1$s AS distance FROM %2$s ORDER BY %3$s LIMIT $2) nearest',
        operand, source, '%s');

    IF method <> 'exact' THEN
        old_ef := current_setting('hnsw.ef_search', true);
        old_scan := current_setting('hnsw.iterative_scan', true);
        PERFORM set_config('hnsw.ef_search', least(greatest(100, k), 1000)::text, true),
                -- Goes on where filter or deletion left too few; otherwise it costs nothing.
                set_config('hnsw.iterative_scan', 'strict_order', true);
        EXECUTE format(statement, operand) INTO ids, distances USING unit, k, filter;
        PERFORM set_config('hnsw.ef_search', coalesce(old_ef, '40'), true),
                set_config('hnsw.iterative_scan', coalesce(old_scan, 'off'), true);
    END IF;
    -- The index gives up after hnsw.max_scan_tuples; k rows are promised if there are k.
    IF method = 'exact' OR coalesce(cardinality(ids), 0) < k THEN
        method := 'exact';
        EXECUTE format(statement, '1 + ' || operand) INTO ids, distances
        USING unit, k, filter;
    END IF;
    RETURN QUERY
        -- Rounding can bring equal vectors a hair below zero.
        SELECT i.id, i.path, greatest(n.distance, 0), i.metadata, search.method
        FROM unnest(ids, distances) AS n (image_id, distance) JOIN images i ON i.id = n.image_id
        ORDER BY n.distance, i.id;
END
$$;

COMMENT ON FUNCTION spocdb.search(text, vector, integer, jsonb, boolean) IS
    'The k images of a collection nearest to an embedding, by cosine distance; filter is contained in the metadata; method says how they were found';
