CREATE OR REPLACE FUNCTION spocdb.search(
    collection text,
    query      vector,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false,
    projection bigint DEFAULT NULL
)
RETURNS TABLE (id bigint, path text, distance double precision, metadata jsonb, method text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
-- The choice between index and exact scan is made below, not by cost estimates. With sequential scans
-- disabled, servers before 18 would JIT-compile every exact scan.
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    -- Up to at least this many matching images, an exact scan is faster than the index.
    few        integer := 5000;
    -- The pages of spocdb.images in a sample.
    sampled    CONSTANT integer := 50;
    -- An element of the index has up to ten rows of equal embeddings, and links to the 32 nearest elements. Where
    -- all these are equal, no link leads elsewhere: a scan that comes there finds some 330 equal rows, no others.
    of_element CONSTANT integer := 10;
    enclosed   CONSTANT integer := 400;
    goal       record;
    unit       @extschema:vector@.vector;
    -- The jsonpath of a list of conditions; null for a plain object, which is matched with @>.
    wanted     jsonpath;
    -- The ids of all images that `wanted` finds, if they are few.
    candidates bigint[];
    source     text;
    compared   text;
    exactly    text;
    statement  text;
    ids        bigint[];
    distances  double precision[];
    n_pages    bigint;
    n_matching bigint;
    n_sampled  bigint;
    is_equal   boolean := false;
    width      double precision;
    -- How many images are taken of the index, and how many of them there must be.
    taken      integer;
    needed     integer;
    old_ef     text;
    old_scan   text;
    old_list   text;
    old_again  text;
    scan       text;
    ignored    text;
BEGIN
    IF query IS NULL THEN
        RETURN;
    END IF;
    k := coalesce(k, 10);
    IF k < 0 THEN
        RAISE EXCEPTION 'k is %, the least is 0', k
            USING ERRCODE = 'invalid_parameter_value', HINT = 'ask for more images';
    END IF;
    filter := coalesce(filter, '{}');
    IF filter = '[]' THEN
        filter := '{}';
    ELSIF jsonb_typeof(filter) <> 'object' THEN
        wanted := filter_path(filter);
    END IF;
    exact := coalesce(exact, false);
    -- Assignments here and below, because plpgsql evaluates them faster than it starts a query.
    goal := target(collection, projection);
    unit := unit_query(collection, goal.dim, query);
    IF exact OR goal.hnsw IS NULL THEN
        method := 'exact';
    ELSIF filter = '{}' THEN
        method := 'hnsw';
    ELSE
        method := 'hnsw iterative';
        -- An exact scan takes longer with more matches, the index with fewer. For a million images they
        -- take equally long where one in a hundred matches.
        n_sampled := estimated_rows(goal.table_name);
        few := greatest(few, least(1e9, sqrt(20.0 * greatest(k, 1) * n_sampled)));
        n_pages := pg_relation_size('spocdb.images') / current_setting('block_size')::integer;
        -- The list below stops early, but first all matches are had of the metadata's index. So in a large table a
        -- sample comes first.
        IF n_pages > 10 * sampled THEN
            SELECT count(*) FILTER (WHERE CASE WHEN wanted IS NULL THEN i.metadata @> filter ELSE i.metadata @@ wanted END),
                   count(*) INTO n_matching, n_sampled
            FROM images i TABLESAMPLE SYSTEM (100.0 * sampled / n_pages)
            WHERE i.collection_id = goal.id;
        END IF;
        IF coalesce(n_matching, 0) * n_pages / sampled <= 3 * few::bigint THEN
            -- The ids are kept, so that the search reads no image again. EXECUTE plans each time, because the
            -- conditions decide whether the metadata's index helps.
            EXECUTE format(
                'SELECT coalesce(array_agg(m.id), ''{}'') FROM (SELECT i.id FROM spocdb.images i
                 WHERE i.collection_id = $1 AND i.metadata %s LIMIT $4) m',
                CASE WHEN wanted IS NULL THEN '@> $2' ELSE '@@ $3' END)
            INTO candidates USING goal.id, filter, wanted, few + 1;
            IF cardinality(candidates) <= few THEN
                method := 'exact';
            ELSE
                n_matching := coalesce(n_matching, few);
                candidates := NULL;
            END IF;
        END IF;
        -- Wide enough for 4 k matching images, because the last images of a scan are the least accurate.
        width := 4.0 * k * n_sampled / greatest(n_matching, 1);
    END IF;
    source := CASE WHEN filter = '{}' THEN ''
              WHEN candidates IS NOT NULL THEN ' WHERE e.image_id = ANY ($5)'
              WHEN wanted IS NULL THEN ' JOIN spocdb.images i ON i.id = e.image_id AND i.metadata @> $3'
              ELSE ' JOIN spocdb.images i ON i.id = e.image_id AND i.metadata @@ $4' END;
    exactly := format('e.embedding OPERATOR(@extschema:vector@.<#>) $1::@extschema:vector@.%s', goal.column_type);
    -- What the index finds is compared by the embeddings themselves, so that distances do not depend on its kind.
    statement := format(
        'SELECT array_agg(image_id), array_agg(1 + %%s), min(d) = max(d)
         FROM (SELECT e.image_id, %%s FROM spocdb.%I e%s ORDER BY d LIMIT $2) n',
        goal.table_name, source);

    IF method <> 'exact' THEN
        old_ef := current_setting('hnsw.ef_search', true);
        old_scan := current_setting('hnsw.iterative_scan', true);
        taken := greatest(k, of_element + 1);
        needed := k;
        IF goal.kind IN ('hnsw-bit', 'diskann') THEN
            taken := candidates(goal.kind, taken, ef_search(goal.id, goal.projection, k));
            needed := taken;
            width := greatest(taken, width * taken / greatest(k, 1));
        ELSE
            taken := candidates(goal.kind, taken, 0);
            width := CASE WHEN filter = '{}' THEN ef_search(goal.id, goal.projection, k)
                     ELSE greatest(100, k, width) END;
        END IF;
        compared := format('%s AS d, %s AS x', by_index(goal.kind, goal.dim, 'e.embedding', '$1'), exactly);
        IF goal.kind = 'diskann' THEN
            method := replace(method, 'hnsw', 'diskann');
            old_list := current_setting('diskann.query_search_list_size', true);
            old_again := current_setting('diskann.query_rescore', true);
            ignored := set_config('diskann.query_search_list_size', least(width, 10000)::integer::text, true);
            -- What it finds is compared here.
            ignored := set_config('diskann.query_rescore', '0', true);
        END IF;
        ignored := set_config('hnsw.ef_search', least(width, 1000)::integer::text, true);
        -- An iterative scan costs a tenth more. So without a filter, and for k < 100, it runs only if a plain
        -- scan finds fewer than k images, because of deletions. relaxed_order is sorted below.
        FOREACH scan IN ARRAY CASE WHEN filter = '{}' AND k < 100 THEN '{off,relaxed_order}'::text[]
                                   ELSE '{relaxed_order}' END
        LOOP
            ignored := set_config('hnsw.iterative_scan', scan, true);
            EXECUTE format(statement, 'x', compared) INTO ids, distances, is_equal
            USING unit, taken, filter, wanted, candidates;
            EXIT WHEN coalesce(cardinality(ids), 0) >= needed;
        END LOOP;
        IF is_equal AND cardinality(ids) < enclosed THEN
            ignored := set_config('hnsw.iterative_scan', 'relaxed_order', true);
            EXECUTE format(statement, 'x', compared) INTO ids, distances, is_equal
            USING unit, enclosed, filter, wanted, candidates;
            is_equal := is_equal OR cardinality(ids) < enclosed;
        ELSE
            is_equal := false;
        END IF;
        ignored := set_config('hnsw.ef_search', coalesce(old_ef, '40'), true);
        ignored := set_config('hnsw.iterative_scan', coalesce(old_scan, 'off'), true);
        IF goal.kind = 'diskann' THEN
            ignored := set_config('diskann.query_search_list_size', coalesce(old_list, '100'), true);
            ignored := set_config('diskann.query_rescore', coalesce(old_again, '50'), true);
        END IF;
    END IF;
    -- The index stops after hnsw.max_scan_tuples, or among copies. An exact scan then returns k rows if there are k.
    IF method = 'exact' OR coalesce(cardinality(ids), 0) < needed OR is_equal THEN
        method := 'exact';
        -- Only the bare operator matches an index; in a sum the scan is exact.
        EXECUTE format(statement, 'd', '0 + (' || exactly || ') AS d') INTO ids, distances, is_equal
        USING unit, k, filter, wanted, candidates;
    END IF;
    RETURN QUERY
        -- Rounding can make the distance of equal vectors slightly negative.
        SELECT i.id, i.path, greatest(n.distance, 0), i.metadata, search.method
        FROM (SELECT u.image_id, u.distance FROM unnest(ids, distances) AS u (image_id, distance)
              ORDER BY u.distance, u.image_id LIMIT k) n
        JOIN images i ON i.id = n.image_id
        ORDER BY n.distance, i.id;
END
$$;

COMMENT ON FUNCTION spocdb.search(text, vector, integer, jsonb, boolean, bigint) IS
    'The k images of a collection nearest to an embedding, by cosine distance; projection: one that the collection keeps, by default the active one; filter: {"key": value}, which the metadata contains, or [["key", ">=", value], ...]; method says how they were found';
