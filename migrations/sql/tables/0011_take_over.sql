-- Beside the metadata, which an ingest with a metadata file replaces.
ALTER TABLE spocdb.images ADD taken_over jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN spocdb.images.taken_over IS 'those of the metadata that came from duplicates of the image: they stay when a metadata file replaces the others';

-- Paths, dates and metadata decide what is kept. They change more often than bytes, and grouping again costs much
-- less than comparing.
ALTER TABLE spocdb.duplicate_changes ADD is_compared boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN spocdb.duplicate_changes.is_compared IS 'only what the keeper rule looks at has changed: the content has to be grouped, but not compared';
