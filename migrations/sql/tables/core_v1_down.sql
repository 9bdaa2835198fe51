-- Collections first: their views and embedding tables are made at run time.
SELECT spocdb.drop_collection(id) FROM spocdb.collections;
-- A table whose deferred check is still to come cannot be altered.
SET CONSTRAINTS ALL IMMEDIATE;

DROP FUNCTION spocdb.similar(text, bigint, integer, jsonb, boolean);
DROP FUNCTION spocdb.search(text, vector, integer, jsonb, boolean);
DROP FUNCTION spocdb.drop_collection(bigint);
DROP FUNCTION spocdb.create_collection(text, bigint);
DROP FUNCTION spocdb.drop_embedding_table(bigint, bigint);
DROP FUNCTION spocdb.activate(bigint, bigint);
DROP FUNCTION spocdb.add_embedding_table(bigint, bigint);
DROP FUNCTION spocdb.refresh_view(bigint);
DROP FUNCTION spocdb.embed(text, vector);
DROP FUNCTION spocdb.project(vector, bigint);
DROP FUNCTION spocdb.embedding_table(bigint, bigint);
DROP FUNCTION spocdb.owner();

ALTER TABLE spocdb.collections DROP CONSTRAINT collections_active_fkey;
DROP TABLE spocdb.failures, spocdb.runs, spocdb.images, spocdb.embedding_tables, spocdb.collections,
    spocdb.projection_components, spocdb.projections, spocdb.descriptors, spocdb.extractors;

DROP FUNCTION spocdb.forget_embeddings();
DROP FUNCTION spocdb.refuse_update();
