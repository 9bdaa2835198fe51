CREATE OR REPLACE FUNCTION spocdb.candidates(kind text, k integer, width integer)
RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN kind IN ('hnsw-bit', 'diskann') THEN greatest(k, width)
                     -- Half precision only swaps images that are nearly equally far.
                     WHEN kind = 'hnsw-halfvec' THEN k + least(10, 2147483647 - k)
                     ELSE k END;
END
$$;

COMMENT ON FUNCTION spocdb.candidates(text, integer, integer) IS
    'How many of the nearest images by an index of a kind, scanned with an ef_search of `width`, are compared by their embeddings to find the k nearest';
