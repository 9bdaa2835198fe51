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
