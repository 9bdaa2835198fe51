CREATE OR REPLACE FUNCTION spocdb.by_index(kind text, dim integer, stored text, query text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind = 'hnsw-bit' THEN
        RETURN format(
            '@extschema:vector@.binary_quantize(%2$s)::bit(%1$s) OPERATOR(@extschema:vector@.<~>) @extschema:vector@.binary_quantize(%3$s)::bit(%1$s)',
            dim, stored, query);
    END IF;
    IF kind = 'diskann' THEN
        -- Another operator than that of HNSW, so that an index of each can be beside the other.
        RETURN format('%s OPERATOR(@extschema:vector@.<=>) %s::@extschema:vector@.vector', stored, query);
    END IF;
    RETURN format(
        '%2$s::@extschema:vector@.%4$s(%1$s) OPERATOR(@extschema:vector@.<#>) %3$s::@extschema:vector@.%4$s(%1$s)',
        dim, stored, query, CASE kind WHEN 'hnsw-halfvec' THEN 'halfvec' ELSE 'vector' END);
END
$$;

COMMENT ON FUNCTION spocdb.by_index(text, integer, text, text) IS
    'The expression by which an index of a kind orders embeddings of some dimensions, as SQL, made of the expressions of a stored embedding and of a query';
