-- spocdb.embeddings gets another argument, `projection`: PostgreSQL does not replace such a function.
DROP FUNCTION IF EXISTS spocdb.embeddings(text, bigint[]);

-- A map goes with the embeddings that it was made from.
CREATE TABLE spocdb.maps (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL,
    projection_id bigint NOT NULL,
    method        text NOT NULL,
    settings      jsonb NOT NULL,
    made_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (collection_id, projection_id),
    FOREIGN KEY (collection_id, projection_id)
        REFERENCES spocdb.embedding_tables (collection_id, projection_id) ON DELETE CASCADE
);
COMMENT ON TABLE spocdb.maps IS 'That a collection is laid out in two dimensions, by its embeddings by a projection; made again as a whole';
COMMENT ON COLUMN spocdb.maps.method IS 'umap, or components: the first two of the projection';

-- Foreign keys and not a trigger: there is one table for all collections, and deleting an image looks its
-- positions up in an index.
CREATE TABLE spocdb.map_positions (
    map_id   bigint NOT NULL REFERENCES spocdb.maps (id) ON DELETE CASCADE,
    image_id bigint NOT NULL REFERENCES spocdb.images (id) ON DELETE CASCADE,
    x        real NOT NULL,
    y        real NOT NULL,
    PRIMARY KEY (map_id, image_id)
);
CREATE INDEX map_positions_image ON spocdb.map_positions (image_id);
COMMENT ON TABLE spocdb.map_positions IS 'Where images are on a map; an image that was added or changed after the map was made has no position on it';
