-- Functions that the older program does not have.
DROP FUNCTION spocdb.delete_images(text, bigint[]);
DROP FUNCTION spocdb.filter_path(jsonb);
DROP FUNCTION spocdb.condition_path(jsonb);
DROP FUNCTION spocdb.compared_path(text, jsonb);
DROP FUNCTION spocdb.contains_path(text, jsonb);
GRANT EXECUTE ON FUNCTION spocdb.target(text), spocdb.project(@extschema:vector@.vector, bigint) TO PUBLIC;
DROP FUNCTION spocdb.open_source(bigint);
DROP FUNCTION spocdb.judge_condition(text);
DROP FUNCTION spocdb.types_of(regclass, text[]);
DROP FUNCTION spocdb.hazard_of(regclass, text[]);
ALTER TABLE spocdb.sources DROP COLUMN judged;
ALTER TABLE spocdb.queue
    DROP COLUMN lost,
    DROP COLUMN rejected,
    DROP COLUMN rejections,
    DROP COLUMN rejected_since;
COMMENT ON COLUMN spocdb.queue.attempts IS 'how often a worker took it since it changed';
