-- A role that may read a collection's view may also read the collection's rows of these tables. So a program
-- works as a reader's role by the same statements as the owner's. The right to the view is the only right: a
-- REVOKE of it takes these rows away too. A role that may read the queue, as a worker may, reads all rows.
-- PUBLIC has the rights to the tables, because only roles with USAGE on the schema can use them, and the
-- policies leave other roles no row. The owner is not subject to policies.
--
-- A sub-select without a reference to the row is evaluated once for each statement.

-- COPY FROM refuses tables with policies. Workers copy into embedding tables, so these have none: a reader
-- gets embeddings from the view and from spocdb.embeddings.

CREATE POLICY readable ON spocdb.collections USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR has_table_privilege(to_regclass(format('spocdb.%I', name)), 'SELECT'));
CREATE POLICY readable ON spocdb.images USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR collection_id IN (SELECT c.id FROM spocdb.collections c));
CREATE POLICY readable ON spocdb.failures USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR collection_id IN (SELECT c.id FROM spocdb.collections c));
CREATE POLICY readable ON spocdb.embedding_tables USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR collection_id IN (SELECT c.id FROM spocdb.collections c));
-- The projections that embed a collection that the role may read, and their extractors.
CREATE POLICY readable ON spocdb.projections USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR id IN (SELECT t.projection_id FROM spocdb.embedding_tables t));
CREATE POLICY readable ON spocdb.projection_components USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR projection_id IN (SELECT t.projection_id FROM spocdb.embedding_tables t));
CREATE POLICY readable ON spocdb.extractors USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR id IN (SELECT p.extractor_id FROM spocdb.projections p));

-- Of images that the role may read. OFFSET 0: by the index of the hashes, and not by a list of all of them.
CREATE POLICY readable ON spocdb.thumbnails USING (
    (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT'))
    OR EXISTS (SELECT FROM spocdb.images i WHERE i.sha256 = thumbnails.sha256 OFFSET 0));

ALTER TABLE spocdb.collections ENABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.images ENABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.failures ENABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.embedding_tables ENABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.projections ENABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.projection_components ENABLE ROW LEVEL SECURITY;
ALTER TABLE spocdb.extractors ENABLE ROW LEVEL SECURITY;

ALTER TABLE spocdb.thumbnails ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON spocdb.thumbnails, spocdb.alembic_version, spocdb.collections, spocdb.images, spocdb.failures,
    spocdb.embedding_tables, spocdb.projection_components, spocdb.coverage TO PUBLIC;
-- Without fitted_on, which names collections: spocdb.fitted_on shows it to those who may read these.
GRANT SELECT (id, extractor_id, kind, dim, mean, n_samples, settings, fingerprint, created_at)
    ON spocdb.projections TO PUBLIC;
-- Without parentage, which names what a network was trained on.
GRANT SELECT (id, name, fingerprint, recipe, dim, created_at) ON spocdb.extractors TO PUBLIC;
