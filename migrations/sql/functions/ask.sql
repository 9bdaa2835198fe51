CREATE OR REPLACE FUNCTION spocdb.ask(collection text, picture bytea, crop integer[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    -- A policy of spocdb.queries refuses the row too, but does not say why.
    IF NOT EXISTS (SELECT FROM collections c WHERE c.name = ask.collection) THEN
        RAISE EXCEPTION 'there is no collection named % that the role % may read',
            quote_ident(ask.collection), quote_ident(current_user)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    END IF;
    INSERT INTO queries (collection, picture, crop) VALUES (ask.collection, ask.picture, ask.crop)
    RETURNING queries.id INTO number;
    RETURN number;
END
$$;

COMMENT ON FUNCTION spocdb.ask(text, bytea, integer[]) IS
    'Ask for the embedding of a picture, or of its part {x, y, width, height}, by a collection''s active projection; returns the id of the row in spocdb.queries that a worker answers, with NOTIFY spocdb_answers and this id';
