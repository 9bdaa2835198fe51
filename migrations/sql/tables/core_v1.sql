-- The tables of spocdb. `vector` and `halfvec` are found through the migration's search_path.

CREATE TABLE spocdb.extractors (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    fingerprint text NOT NULL UNIQUE,
    recipe      jsonb NOT NULL,
    dim         integer NOT NULL CHECK (dim > 0),
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE spocdb.extractors IS 'Named, immutable recipes that turn an image into a raw descriptor';
COMMENT ON COLUMN spocdb.extractors.fingerprint IS 'sha256 of the recipe''s canonical JSON';
COMMENT ON COLUMN spocdb.extractors.dim IS 'dimension of the raw descriptor, the C of the feature map';

CREATE TABLE spocdb.descriptors (
    extractor_id bigint NOT NULL REFERENCES spocdb.extractors,
    sha256       bytea NOT NULL CHECK (octet_length(sha256) = 32),
    width        integer NOT NULL,
    height       integer NOT NULL,
    descriptor   halfvec NOT NULL,
    PRIMARY KEY (extractor_id, sha256)
);
-- Inline whatever the size (4000 dimensions still fit a page): these rows are streamed, not picked.
ALTER TABLE spocdb.descriptors ALTER COLUMN descriptor SET STORAGE PLAIN;
COMMENT ON TABLE spocdb.descriptors IS 'Raw descriptors, by the sha256 of the image''s bytes and the extractor: the same bytes are never run twice';
COMMENT ON COLUMN spocdb.descriptors.width IS 'pixels of the upright image';
COMMENT ON COLUMN spocdb.descriptors.height IS 'pixels of the upright image';

CREATE TABLE spocdb.projections (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    extractor_id bigint NOT NULL REFERENCES spocdb.extractors,
    kind         text NOT NULL CHECK (kind IN ('raw', 'pca')),
    dim          integer NOT NULL CHECK (dim > 0),
    mean         vector NOT NULL,
    n_samples    bigint NOT NULL,
    settings     jsonb NOT NULL,
    fitted_on    jsonb NOT NULL,
    fingerprint  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (extractor_id, fingerprint)
);
CREATE UNIQUE INDEX projections_raw ON spocdb.projections (extractor_id) WHERE kind = 'raw';
COMMENT ON TABLE spocdb.projections IS 'Immutable versions: mean, components and whitening, and what they were fitted on. Kind raw only normalises';

CREATE TABLE spocdb.projection_components (
    projection_id  bigint NOT NULL REFERENCES spocdb.projections ON DELETE CASCADE,
    position       integer NOT NULL,
    component      vector NOT NULL,
    scale          double precision NOT NULL,
    singular_value double precision NOT NULL,
    explained      double precision NOT NULL,
    PRIMARY KEY (projection_id, position)
);
COMMENT ON TABLE spocdb.projection_components IS 'One row a dimension of the embedding: unit vector, whitening factor, singular value, part of the variance';

CREATE TABLE spocdb.collections (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                   text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 63),
    extractor_id           bigint NOT NULL REFERENCES spocdb.extractors,
    active_projection_id   bigint,
    previous_projection_id bigint,
    created_at             timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE spocdb.collections IS 'Named sets of images: the unit of search, of access and of the index';

CREATE TABLE spocdb.embedding_tables (
    collection_id   bigint NOT NULL REFERENCES spocdb.collections ON DELETE CASCADE,
    projection_id   bigint NOT NULL REFERENCES spocdb.projections,
    column_type     text NOT NULL CHECK (column_type IN ('vector', 'halfvec')),
    index_type      text NOT NULL CHECK (index_type IN ('vector', 'halfvec')),
    recall          double precision,
    recall_settings jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, projection_id)
);
COMMENT ON TABLE spocdb.embedding_tables IS 'Which collection is embedded by which projection: each row has a table spocdb.embeddings_<collection>_<projection>';
COMMENT ON COLUMN spocdb.embedding_tables.index_type IS 'what the HNSW index holds, and what the collection''s view shows';
COMMENT ON COLUMN spocdb.embedding_tables.recall IS 'measured recall of the index against an exact scan';

-- The active projection always has its table.
ALTER TABLE spocdb.collections
    ADD CONSTRAINT collections_active_fkey FOREIGN KEY (id, active_projection_id)
        REFERENCES spocdb.embedding_tables (collection_id, projection_id) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE spocdb.images (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES spocdb.collections ON DELETE CASCADE,
    path          text NOT NULL,
    sha256        bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size          bigint NOT NULL,
    mtime_ns      bigint NOT NULL,
    width         integer NOT NULL,
    height        integer NOT NULL,
    metadata      jsonb NOT NULL DEFAULT '{}',
    ingested_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (collection_id, path)
);
CREATE INDEX images_sha256 ON spocdb.images (sha256);
CREATE INDEX images_metadata ON spocdb.images USING gin (metadata jsonb_path_ops);
COMMENT ON TABLE spocdb.images IS 'The images of every collection; an unchanged file keeps its size and mtime_ns and is not read again';

CREATE TABLE spocdb.runs (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES spocdb.collections ON DELETE CASCADE,
    status        text NOT NULL DEFAULT 'running'
                  CHECK (status IN ('running', 'finished', 'interrupted', 'failed')),
    started_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    summary       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX runs_collection ON spocdb.runs (collection_id);
COMMENT ON TABLE spocdb.runs IS 'Every ingest: when, how it ended, its counts and seconds by stage';

CREATE TABLE spocdb.failures (
    collection_id bigint NOT NULL REFERENCES spocdb.collections ON DELETE CASCADE,
    path          text NOT NULL,
    size          bigint NOT NULL,
    mtime_ns      bigint NOT NULL,
    reason        text NOT NULL,
    message       text NOT NULL,
    failed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, path)
);
COMMENT ON TABLE spocdb.failures IS 'Every image that did not make it, and why; a row goes when the image makes it';
