-- Not logged: rows live for minutes, and their pictures would fill the write-ahead log. After a crash of the
-- server the table is empty, and clients ask again.
CREATE UNLOGGED TABLE spocdb.queries (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection  text NOT NULL CONSTRAINT queries_collection_is_named CHECK (collection <> ''),
    picture     bytea CONSTRAINT queries_picture_has_32_mb_at_most CHECK (octet_length(picture) <= 33554432),
    crop        integer[] CONSTRAINT queries_crop_is_x_y_width_height
                CHECK (array_ndims(crop) = 1 AND cardinality(crop) = 4 AND num_nulls(VARIADIC crop) = 0),
    asked_by    text NOT NULL DEFAULT current_user,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz NOT NULL DEFAULT now(),
    tries       integer NOT NULL DEFAULT 0,
    embedding   @extschema:vector@.vector,
    projection  bigint,
    error       text,
    message     text,
    answered_at timestamptz,
    expires_at  timestamptz NOT NULL DEFAULT now() + interval '10 minutes',
    CONSTRAINT queries_picture_is_there_until_answered CHECK ((picture IS NULL) = (answered_at IS NOT NULL)),
    CONSTRAINT queries_answer_is_embedding_or_error
    CHECK (num_nonnulls(embedding, error) = CASE WHEN answered_at IS NULL THEN 0 ELSE 1 END)
);
-- Out of line and never compressed: pictures are compressed already, and the table stays small to scan.
ALTER TABLE spocdb.queries ALTER COLUMN picture SET STORAGE EXTERNAL;
CREATE INDEX queries_waiting ON spocdb.queries (due_at, id) WHERE answered_at IS NULL;
CREATE INDEX queries_expires_at ON spocdb.queries (expires_at);

COMMENT ON TABLE spocdb.queries IS 'A picture that a client asks to have embedded, and the answer of a worker; a role sees its own rows. A worker or the next query deletes rows after ten minutes';
COMMENT ON COLUMN spocdb.queries.picture IS 'an image file; NULL as soon as it is answered';
COMMENT ON COLUMN spocdb.queries.crop IS 'the part of the upright picture that is asked for: x, y, width, height in pixels; NULL for all of it';
COMMENT ON COLUMN spocdb.queries.due_at IS 'when a worker may take it; one that has it moves this into the future';
COMMENT ON COLUMN spocdb.queries.tries IS 'how many workers took it; those before the last were lost';
COMMENT ON COLUMN spocdb.queries.projection IS 'the projection that made the embedding; that of the collection may have changed since';
COMMENT ON COLUMN spocdb.queries.error IS 'the code of the error, if the picture could not be embedded';

-- A role that may read a collection may ask about it, and sees and deletes the rows that it asked. The right to
-- the collection's view counts at every look, so that a REVOKE of it takes the answers away too.
CREATE POLICY asked ON spocdb.queries USING (
    asked_by = current_user
    AND has_table_privilege(to_regclass(format('spocdb.%I', collection)), 'SELECT'));
-- Pictures are private. So a role that may read the queue sees them only if it may also write it, as workers may.
CREATE POLICY answered ON spocdb.queries USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'UPDATE')));
ALTER TABLE spocdb.queries ENABLE ROW LEVEL SECURITY;
-- Nobody can ask in another role's name or bring an answer: these columns have their defaults.
GRANT INSERT (collection, picture, crop), SELECT, DELETE ON spocdb.queries TO PUBLIC;
