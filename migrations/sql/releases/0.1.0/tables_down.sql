-- Collections first: their views, their embedding tables and the triggers of attached tables are made at
-- run time.
SELECT spocdb.drop_collection(id) FROM spocdb.collections;
-- A table with a pending deferred check cannot be altered.
SET CONSTRAINTS ALL IMMEDIATE;

DROP VIEW spocdb.coverage;
DROP FUNCTION spocdb.activate(bigint, bigint);
DROP FUNCTION spocdb.add_embedding_table(bigint, bigint);
DROP FUNCTION spocdb.add_extractor(text, text, jsonb, integer, jsonb);
DROP FUNCTION spocdb.add_triggers(bigint);
DROP FUNCTION spocdb.attach(regclass, text, text, text, text, text, boolean, text, text[], boolean);
DROP FUNCTION spocdb.columns_of(regclass, text);
DROP FUNCTION spocdb.compared_path(text, jsonb);
DROP FUNCTION spocdb.condition_path(jsonb);
DROP FUNCTION spocdb.contains_path(text, jsonb);
DROP FUNCTION spocdb.count_coverage();
DROP FUNCTION spocdb.create_collection(text, bigint);
DROP FUNCTION spocdb.delete_images(text, bigint[]);
DROP FUNCTION spocdb.detach(text);
DROP FUNCTION spocdb.drop_collection(bigint);
DROP FUNCTION spocdb.drop_embedding_table(bigint, bigint);
DROP FUNCTION spocdb.embed(text, vector);
DROP FUNCTION spocdb.embedding(text, bigint);
DROP FUNCTION spocdb.embedding_table(bigint, bigint);
DROP FUNCTION spocdb.expand(text, vector, integer, double precision, boolean);
DROP FUNCTION spocdb.filter_path(jsonb);
DROP FUNCTION spocdb.hazard_of(regclass, text[]);
DROP FUNCTION spocdb.iterative_scan(boolean);
DROP FUNCTION spocdb.judge_condition(text);
DROP FUNCTION spocdb.judge_source(regclass, text, text, text, boolean, text, text[]);
DROP FUNCTION spocdb.lock_collection(bigint);
DROP FUNCTION spocdb.lock_rows(bigint, text[]);
DROP FUNCTION spocdb.open_source(bigint);
DROP FUNCTION spocdb.owner();
DROP FUNCTION spocdb.project(vector, bigint);
DROP FUNCTION spocdb.refresh_view(bigint);
DROP FUNCTION spocdb.remove_source(bigint);
DROP FUNCTION spocdb.retry(text, text[]);
DROP FUNCTION spocdb.search(text, vector, integer, jsonb, boolean);
DROP FUNCTION spocdb.similar(text, bigint, integer, jsonb, boolean);
DROP FUNCTION spocdb.similar_rows(text, text, integer, jsonb, boolean);
DROP FUNCTION spocdb.similar_rows(text, bigint, integer, jsonb, boolean);
DROP FUNCTION spocdb.similar_rows(text, uuid, integer, jsonb, boolean);
DROP FUNCTION spocdb.source_keys(bigint);
DROP FUNCTION spocdb.source_rows(bigint, text[]);
DROP FUNCTION spocdb.take_in(bigint);
DROP FUNCTION spocdb.target(text);
DROP FUNCTION spocdb.types_of(regclass, text[]);
DROP FUNCTION spocdb.view_key(text);

ALTER TABLE spocdb.collections DROP CONSTRAINT collections_active_fkey;
DROP TABLE spocdb.queue, spocdb.source_changes, spocdb.sources, spocdb.evaluations, spocdb.failures,
    spocdb.runs, spocdb.images, spocdb.embedding_tables, spocdb.collections,
    spocdb.projection_components, spocdb.projections, spocdb.descriptors, spocdb.extractors;

-- Their triggers went with the tables.
DROP FUNCTION spocdb.forget_embeddings();
DROP FUNCTION spocdb.refuse_update();
COMMENT ON TABLE spocdb.alembic_version IS NULL;
