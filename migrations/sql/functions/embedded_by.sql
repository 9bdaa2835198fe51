CREATE OR REPLACE FUNCTION spocdb.embedded_by(image bigint)
RETURNS bigint[]
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    kept     record;
    is_there boolean;
    result   bigint[] := '{}';
BEGIN
    FOR kept IN
        SELECT t.projection_id, embedding_table(t.collection_id, t.projection_id) AS table_name
        FROM images i
        JOIN collections c ON c.id = i.collection_id
        JOIN embedding_tables t ON t.collection_id = c.id
        WHERE i.id = image AND may_read(c.name) ORDER BY t.projection_id
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM spocdb.%I e WHERE e.image_id = $1)', kept.table_name)
        INTO is_there USING image;
        IF is_there THEN
            result := result || kept.projection_id;
        END IF;
    END LOOP;
    RETURN result;
END
$$;

COMMENT ON FUNCTION spocdb.embedded_by(bigint) IS
    'The projections by which an image has an embedding; none if the caller may not read its collection';
