-- What the older schema cannot say goes: attached tables get rid of their triggers, and their
-- collections, which nothing would keep true any more, go too.
SELECT spocdb.drop_collection(s.collection_id) FROM spocdb.sources s;

DROP VIEW spocdb.coverage;
DROP FUNCTION spocdb.count_coverage();
DROP FUNCTION spocdb.attach(regclass, text, text, text, text, text, boolean, text, text[], boolean);
DROP FUNCTION spocdb.detach(text);
DROP FUNCTION spocdb.columns_of(regclass, text);
DROP FUNCTION spocdb.judge_source(regclass, text, text, text, boolean, text, text[]);
DROP FUNCTION spocdb.add_triggers(bigint);
DROP FUNCTION spocdb.remove_source(bigint);
DROP FUNCTION spocdb.source_rows(bigint, text[]);
DROP FUNCTION spocdb.source_keys(bigint);
DROP FUNCTION spocdb.lock_rows(bigint, text[]);
DROP FUNCTION spocdb.lock_collection(bigint);
DROP FUNCTION spocdb.take_in(bigint);
DROP FUNCTION spocdb.retry(text, text[]);
DROP FUNCTION spocdb.similar_rows(text, text, integer, jsonb, boolean);
DROP FUNCTION spocdb.similar_rows(text, bigint, integer, jsonb, boolean);
DROP FUNCTION spocdb.similar_rows(text, uuid, integer, jsonb, boolean);
DROP FUNCTION spocdb.iterative_scan(boolean);
DROP FUNCTION spocdb.add_extractor(text, text, jsonb, integer, jsonb);
DROP FUNCTION spocdb.target(text);
DROP FUNCTION spocdb.view_key(text);

DROP TABLE spocdb.queue;
DROP TABLE spocdb.source_changes;
DROP TABLE spocdb.sources;
