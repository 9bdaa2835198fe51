REVOKE SELECT ON spocdb.thumbnails, spocdb.alembic_version, spocdb.collections, spocdb.images, spocdb.failures,
    spocdb.embedding_tables, spocdb.projection_components, spocdb.coverage FROM PUBLIC;
REVOKE SELECT (id, extractor_id, kind, dim, mean, n_samples, settings, fingerprint, created_at)
    ON spocdb.projections FROM PUBLIC;
REVOKE SELECT (id, name, fingerprint, recipe, dim, created_at) ON spocdb.extractors FROM PUBLIC;

ALTER TABLE spocdb.thumbnails DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.collections DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.images DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.failures DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.embedding_tables DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.projections DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.projection_components DISABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.extractors DISABLE ROW LEVEL SECURITY;

DROP POLICY readable ON spocdb.thumbnails;
DROP POLICY readable ON spocdb.extractors;
DROP POLICY readable ON spocdb.projection_components;
DROP POLICY readable ON spocdb.projections;
DROP POLICY readable ON spocdb.embedding_tables;
DROP POLICY readable ON spocdb.failures;
DROP POLICY readable ON spocdb.images;
DROP POLICY readable ON spocdb.collections;
