ALTER TABLE spocdb.collections
    ADD COLUMN recall double precision NOT NULL DEFAULT 0.99 CHECK (recall > 0 AND recall <= 1);
COMMENT ON COLUMN spocdb.collections.recall IS 'the recall that searches by the index shall have, unless spocdb.recall is set in the session';

CREATE TABLE spocdb.recalls (
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    k             integer NOT NULL,
    ef_search     integer NOT NULL,
    recall        double precision NOT NULL,
    PRIMARY KEY (collection_id, projection_id, k, ef_search),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.embedding_tables (collection_id, projection_id) ON DELETE CASCADE
);
COMMENT ON TABLE spocdb.recalls IS 'Measured recall of an index: the part of the k nearest images that a scan with ef_search candidates finds';
COMMENT ON COLUMN spocdb.embedding_tables.recall IS 'measured recall of searches for ten images by the index, against an exact scan';
