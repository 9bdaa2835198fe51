-- The tables of release 0.1.0. `vector` and `halfvec` are found through the migration's search_path.

CREATE TABLE spocdb.extractors (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    fingerprint text NOT NULL UNIQUE,
    recipe      jsonb NOT NULL,
    dim         integer NOT NULL CHECK (dim > 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    parentage   jsonb
);
COMMENT ON TABLE spocdb.extractors IS 'Named, immutable recipes that turn an image into a raw descriptor';
COMMENT ON COLUMN spocdb.extractors.fingerprint IS 'sha256 of the recipe''s canonical JSON';
COMMENT ON COLUMN spocdb.extractors.dim IS 'dimension of the raw descriptor, the C of the feature map';
COMMENT ON COLUMN spocdb.extractors.parentage IS 'what a trained extractor was made from; null for others';

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

CREATE TABLE spocdb.evaluations (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    evaluated_at timestamptz NOT NULL DEFAULT now(),
    version      text NOT NULL,
    benchmark    text NOT NULL,
    variant      text NOT NULL,
    dataset      jsonb NOT NULL,
    method       text NOT NULL,
    recipe       jsonb NOT NULL,
    projection   jsonb NOT NULL,
    search       jsonb NOT NULL,
    measure      text NOT NULL,
    exact        double precision NOT NULL,
    by_index     double precision,
    costs        jsonb NOT NULL
);
CREATE INDEX evaluations_benchmark ON spocdb.evaluations (benchmark, evaluated_at);
COMMENT ON TABLE spocdb.evaluations IS 'Measured retrieval quality, each with the full recipe, projection and search that it was measured of';
COMMENT ON COLUMN spocdb.evaluations.variant IS 'of a benchmark with several: crop, full, easy, medium, hard';
COMMENT ON COLUMN spocdb.evaluations.dataset IS 'counts of images and queries, and a hash of the ground truth';
COMMENT ON COLUMN spocdb.evaluations.exact IS 'the measure by exact scans';
COMMENT ON COLUMN spocdb.evaluations.by_index IS 'the measure through the HNSW index; null where there can be none';

-- Tables of an application that are attached: each is the source of one collection.

CREATE TABLE spocdb.sources (
    collection_id bigint PRIMARY KEY REFERENCES spocdb.collections ON DELETE CASCADE,
    relation      regclass NOT NULL,
    key_column    text NOT NULL,
    key_type      text NOT NULL,
    image_column  text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('bytes', 'path', 'url')),
    root          text CHECK ((kind = 'path') = (root IS NOT NULL)),
    condition     text,
    metadata      text[] NOT NULL DEFAULT '{}',
    allow_private boolean NOT NULL DEFAULT false,
    attached_at   timestamptz NOT NULL DEFAULT now(),
    judged        jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE spocdb.sources IS 'Attached tables: which column names the row, which one holds or names its image';
COMMENT ON COLUMN spocdb.sources.kind IS 'what the image column holds: the bytes of a file, a path below root, or a URL';
COMMENT ON COLUMN spocdb.sources.condition IS 'SQL: which rows belong to the collection; null: all that have an image';
COMMENT ON COLUMN spocdb.sources.metadata IS 'columns whose values become the metadata of the image';
COMMENT ON COLUMN spocdb.sources.allow_private IS 'whether a URL may lead to an address that is not public';
COMMENT ON COLUMN spocdb.sources.judged IS
    'the condition as it was judged, and the types of its columns then; with others it is not used';

-- Triggers only add to it, and no foreign key or unique key can make an application's write wait.
CREATE TABLE spocdb.source_changes (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL,
    keys          text[],
    changed_at    timestamptz NOT NULL DEFAULT now()
);
-- Compressing would take longer than writing.
ALTER TABLE spocdb.source_changes ALTER COLUMN keys SET STORAGE EXTERNAL;
COMMENT ON TABLE spocdb.source_changes IS 'What changed in attached tables, as their triggers note it, until a worker takes it into the queue';
COMMENT ON COLUMN spocdb.source_changes.keys IS 'rows that were added or changed; null: any may have been';

CREATE TABLE spocdb.queue (
    collection_id  bigint NOT NULL REFERENCES spocdb.collections ON DELETE CASCADE,
    key            text NOT NULL,
    enqueued_at    timestamptz NOT NULL,
    due_at         timestamptz NOT NULL DEFAULT now(),
    lease          uuid,
    attempts       integer NOT NULL DEFAULT 0,
    -- Workers that were lost count apart from tries of the image. Bytes that a URL gave and that are no
    -- image are remembered until they came often enough to be believed.
    lost           integer NOT NULL DEFAULT 0,
    rejected       bytea,
    rejections     integer NOT NULL DEFAULT 0,
    rejected_since timestamptz,
    PRIMARY KEY (collection_id, key)
);
CREATE INDEX queue_due ON spocdb.queue (collection_id, due_at, key);
COMMENT ON TABLE spocdb.queue IS 'Rows of attached tables that workers have to look at, each once';
COMMENT ON COLUMN spocdb.queue.due_at IS 'when the next worker may take it: a lease moves it by the visibility time, a failure by the back-off';
COMMENT ON COLUMN spocdb.queue.lease IS 'of the worker that has it; a change of the row takes it away';
COMMENT ON COLUMN spocdb.queue.attempts IS 'how often its image was tried since the row changed; tries that lost their worker are in lost';
COMMENT ON COLUMN spocdb.queue.lost IS 'how many leases ran out since the row changed: workers that died, or were too slow';
COMMENT ON COLUMN spocdb.queue.rejected IS 'sha256 of the bytes that its URL gave last and that are no image';
COMMENT ON COLUMN spocdb.queue.rejections IS 'how many tries in a row gave the rejected bytes';
COMMENT ON COLUMN spocdb.queue.rejected_since IS 'when the first of these tries was';
