DROP INDEX spocdb.queue_suspects;
-- Older workers read attached tables only.
DELETE FROM spocdb.queue q WHERE NOT EXISTS (SELECT FROM spocdb.sources s WHERE s.collection_id = q.collection_id);
ALTER TABLE spocdb.queue DROP COLUMN version, DROP COLUMN size;
COMMENT ON TABLE spocdb.queue IS 'Rows of attached tables that workers have to look at, each once';
COMMENT ON COLUMN spocdb.queue.key IS NULL;
