CREATE TABLE spocdb.listed_archives (
    collection_id bigint NOT NULL REFERENCES spocdb.collections (id) ON DELETE CASCADE,
    path          text NOT NULL,
    version       text NOT NULL,
    n_images      bigint NOT NULL,
    left_out      jsonb NOT NULL,
    PRIMARY KEY (collection_id, path)
);
COMMENT ON TABLE spocdb.listed_archives IS 'Archives that were listed to their end: an unchanged one is not opened while as many images of its version are stored';
COMMENT ON COLUMN spocdb.listed_archives.version IS 'of the archive when it was listed; the versions of its images begin with it';
COMMENT ON COLUMN spocdb.listed_archives.n_images IS 'images that it holds, with those that failed';
COMMENT ON COLUMN spocdb.listed_archives.left_out IS 'number of its members that are no images, by extension or kind';
