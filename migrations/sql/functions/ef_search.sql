CREATE OR REPLACE FUNCTION spocdb.ef_search(collection bigint, projection bigint, k integer)
RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    asked  CONSTANT text := nullif(current_setting('spocdb.recall', true), '');
    wanted double precision;
    found  integer;
BEGIN
    IF asked IS NULL THEN
        SELECT c.recall INTO wanted FROM collections c WHERE c.id = ef_search.collection;
    ELSE
        BEGIN
            wanted := asked;
        EXCEPTION WHEN data_exception THEN
            wanted := NULL;
        END;
        -- Written so that NaN is refused, too.
        IF (wanted > 0 AND wanted <= 1) IS NOT TRUE THEN
            RAISE EXCEPTION 'spocdb.recall is %, more than 0 and at most 1 is possible', quote_literal(left(asked, 40))
                USING ERRCODE = 'invalid_parameter_value', HINT = 'for example: SET spocdb.recall = 0.95';
        END IF;
    END IF;
    -- Where no width reaches the wanted recall, the widest one that was measured comes nearest. One image more than was
    -- measured is what spocdb.similar searches for: the image itself is the nearest one.
    SELECT r.ef_search INTO found FROM recalls r
    WHERE r.collection_id = ef_search.collection AND r.projection_id = ef_search.projection
      AND (r.k >= ef_search.k OR r.k + 1 = ef_search.k AND r.ef_search >= ef_search.k)
    ORDER BY r.k, r.recall < wanted, r.ef_search * (CASE WHEN r.recall < wanted THEN -1 ELSE 1 END) LIMIT 1;
    RETURN coalesce(found, (
        -- Bits say little of each image, so many of them are compared.
        SELECT CASE WHEN t.kind IN ('hnsw-bit', 'diskann') THEN least(greatest(1000, 10 * ef_search.k::bigint), 2147483647)
                    ELSE greatest(100, ef_search.k) END
        FROM embedding_tables t
        WHERE t.collection_id = ef_search.collection AND t.projection_id = ef_search.projection));
END
$$;

COMMENT ON FUNCTION spocdb.ef_search(bigint, bigint, integer) IS
    'The ef_search with which a search for k images has the wanted recall, as measured: that of the setting spocdb.recall, or of the collection';

-- spocdb.search calls it as the owner.
REVOKE ALL ON FUNCTION spocdb.ef_search(bigint, bigint, integer) FROM PUBLIC;
