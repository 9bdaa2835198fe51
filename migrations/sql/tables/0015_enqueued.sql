-- An entry of a collection that no table is attached to is a reference: a path, a URI, or a whole archive.
ALTER TABLE spocdb.queue ADD COLUMN version text NOT NULL DEFAULT '', ADD COLUMN size bigint;
COMMENT ON TABLE spocdb.queue IS 'What workers have to look at, each once: rows of attached tables, and images and archives that were put there by name';
COMMENT ON COLUMN spocdb.queue.key IS 'the key of a row, or the name of an image or archive';
COMMENT ON COLUMN spocdb.queue.version IS 'of an image or archive when it was listed; empty: the worker looks. Rows have none';
COMMENT ON COLUMN spocdb.queue.size IS 'bytes of an image or archive, where the listing says so';

-- Suspects are few, and looked for after each turn: not among millions of others.
CREATE INDEX queue_suspects ON spocdb.queue (collection_id, due_at, key) WHERE lost > 0;
