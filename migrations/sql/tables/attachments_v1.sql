-- Tables of an application that are attached: each is the source of one collection.

CREATE TABLE spocdb.sources (
    collection_id bigint PRIMARY KEY REFERENCES spocdb.collections ON DELETE CASCADE,
    relation      regclass NOT NULL,
    key_column    text NOT NULL,
    key_type      text NOT NULL,
    image_column  text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('bytes', 'path', 'url')),
    root          text CHECK ((kind = 'path') = (root IS NOT NULL)),
    condition     text,
    metadata      text[] NOT NULL DEFAULT '{}',
    allow_private boolean NOT NULL DEFAULT false,
    attached_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE spocdb.sources IS 'Attached tables: which column names the row, which one holds or names its image';
COMMENT ON COLUMN spocdb.sources.kind IS 'what the image column holds: the bytes of a file, a path below root, or a URL';
COMMENT ON COLUMN spocdb.sources.condition IS 'SQL: which rows belong to the collection; null: all that have an image';
COMMENT ON COLUMN spocdb.sources.metadata IS 'columns whose values become the metadata of the image';
COMMENT ON COLUMN spocdb.sources.allow_private IS 'whether a URL may lead to an address that is not public';

-- Triggers only add to it, and no foreign key or unique key can make an application's write wait.
CREATE TABLE spocdb.source_changes (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL,
    keys          text[],
    changed_at    timestamptz NOT NULL DEFAULT now()
);
-- Compressing would take longer than writing.
ALTER TABLE spocdb.source_changes ALTER COLUMN keys SET STORAGE EXTERNAL;
COMMENT ON TABLE spocdb.source_changes IS 'What changed in attached tables, as their triggers note it, until a worker takes it into the queue';
COMMENT ON COLUMN spocdb.source_changes.keys IS 'rows that were added or changed; null: any may have been';

CREATE TABLE spocdb.queue (
    collection_id bigint NOT NULL REFERENCES spocdb.collections ON DELETE CASCADE,
    key           text NOT NULL,
    enqueued_at   timestamptz NOT NULL,
    due_at        timestamptz NOT NULL DEFAULT now(),
    lease         uuid,
    attempts      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (collection_id, key)
);
CREATE INDEX queue_due ON spocdb.queue (collection_id, due_at, key);
COMMENT ON TABLE spocdb.queue IS 'Rows of attached tables that workers have to look at, each once';
COMMENT ON COLUMN spocdb.queue.due_at IS 'when the next worker may take it: a lease moves it by the visibility time, a failure by the back-off';
COMMENT ON COLUMN spocdb.queue.lease IS 'of the worker that has it; a change of the row takes it away';
COMMENT ON COLUMN spocdb.queue.attempts IS 'how often a worker took it since it changed';
