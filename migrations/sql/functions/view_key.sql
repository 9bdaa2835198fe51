CREATE OR REPLACE FUNCTION spocdb.view_key(key text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN key IN ('image_id', 'width', 'height', 'sha256', 'metadata', 'ingested_at', 'embedding')
                THEN 'key' ELSE key END
$$;

COMMENT ON FUNCTION spocdb.view_key(text) IS
    'The name of an attached table''s key in the view of its collection: its own, or "key" if the view has such a column already';
