CREATE OR REPLACE FUNCTION spocdb.add_extractor(
    name        text,
    fingerprint text,
    recipe      jsonb,
    dim         integer,
    parentage   jsonb DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    extractor bigint;
BEGIN
    -- Blocks concurrent programs that add the same extractor until the commit. ON CONFLICT instead
    -- would use up an id with every attempt, and users name projections by their ids.
    LOCK TABLE extractors IN SHARE ROW EXCLUSIVE MODE;
    SELECT e.id INTO extractor FROM extractors e WHERE e.fingerprint = add_extractor.fingerprint;
    IF FOUND THEN
        RETURN extractor;
    END IF;
    INSERT INTO extractors AS e (name, fingerprint, recipe, dim, parentage)
    VALUES (add_extractor.name, add_extractor.fingerprint, add_extractor.recipe, add_extractor.dim,
            add_extractor.parentage)
    RETURNING e.id INTO extractor;
    INSERT INTO projections (extractor_id, kind, dim, mean, n_samples, settings, fitted_on, fingerprint)
    VALUES (extractor, 'raw', add_extractor.dim,
            array_fill(0::real, ARRAY[add_extractor.dim])::@extschema:vector@.vector, 0, '{}', '{}', 'raw');
    RETURN extractor;
END
$$;

COMMENT ON FUNCTION spocdb.add_extractor(text, text, jsonb, integer, jsonb) IS
    'Store an extractor with its raw projection unless it exists; return its id';
