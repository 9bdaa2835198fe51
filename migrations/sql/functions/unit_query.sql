CREATE OR REPLACE FUNCTION spocdb.unit_query(collection text, dim integer, query vector)
RETURNS vector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$
BEGIN
    IF @extschema:vector@.vector_dims(query) <> dim THEN
        RAISE EXCEPTION 'collection % has embeddings of % dimensions, the query has %',
            quote_ident(collection), dim, @extschema:vector@.vector_dims(query)
            USING ERRCODE = 'data_exception', HINT = 'project a raw descriptor with spocdb.embed(collection, raw, projection)';
    END IF;
    RETURN @extschema:vector@.l2_normalize(query);
END
$$;

COMMENT ON FUNCTION spocdb.unit_query(text, integer, vector) IS
    'A query of length one; refused if it has other dimensions than the collection''s embeddings';

REVOKE ALL ON FUNCTION spocdb.unit_query(text, integer, vector) FROM PUBLIC;
