CREATE OR REPLACE FUNCTION spocdb.similar_rows(
    collection text,
    row_key    text,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false
)
RETURNS TABLE (key text, distance double precision, metadata jsonb, method text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal  record;
    image bigint;
BEGIN
    SELECT t.* INTO STRICT goal FROM target(collection) t;
    IF NOT goal.is_attached THEN
        RAISE EXCEPTION 'collection % is of files, no table is attached', quote_ident(collection)
            USING ERRCODE = 'invalid_name', HINT = 'call spocdb.similar(collection, id)';
    END IF;
    SELECT i.id INTO image FROM images i WHERE i.collection_id = goal.id AND i.path = row_key;
    IF image IS NULL THEN
        RAISE EXCEPTION 'collection % has no image of row %', quote_ident(collection), quote_literal(row_key)
            USING ERRCODE = 'no_data_found', HINT = 'it may be waiting: see spocdb.coverage';
    END IF;
    RETURN QUERY SELECT s.path, s.distance, s.metadata, s.method
                 FROM similar(collection, image, k, filter, exact) s;
END
$$;

COMMENT ON FUNCTION spocdb.similar_rows(text, text, integer, jsonb, boolean) IS
    'The k rows of an attached table whose images look most like one row''s own, which is left out';

CREATE OR REPLACE FUNCTION spocdb.similar_rows(
    collection text,
    row_key    bigint,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false
)
RETURNS TABLE (key text, distance double precision, metadata jsonb, method text)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$ SELECT * FROM similar_rows($1, $2::text, $3, $4, $5) $$;

COMMENT ON FUNCTION spocdb.similar_rows(text, bigint, integer, jsonb, boolean) IS
    'The k rows of an attached table whose images look most like one row''s own, which is left out';

CREATE OR REPLACE FUNCTION spocdb.similar_rows(
    collection text,
    row_key    uuid,
    k          integer DEFAULT 10,
    filter     jsonb DEFAULT '{}',
    exact      boolean DEFAULT false
)
RETURNS TABLE (key text, distance double precision, metadata jsonb, method text)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$ SELECT * FROM similar_rows($1, $2::text, $3, $4, $5) $$;

COMMENT ON FUNCTION spocdb.similar_rows(text, uuid, integer, jsonb, boolean) IS
    'The k rows of an attached table whose images look most like one row''s own, which is left out';
