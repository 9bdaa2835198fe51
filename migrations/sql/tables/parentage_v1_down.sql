-- What the older schema cannot say goes: parentage, and embeddings by another extractor than the
-- collection's, which its programs would write to. Raw descriptors stay.
SELECT spocdb.drop_embedding_table(t.collection_id, t.projection_id)
FROM spocdb.embedding_tables t
JOIN spocdb.collections c ON c.id = t.collection_id
JOIN spocdb.projections p ON p.id = t.projection_id AND p.extractor_id <> c.extractor_id;

ALTER TABLE spocdb.extractors DROP COLUMN parentage;
