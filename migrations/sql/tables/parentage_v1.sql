ALTER TABLE spocdb.extractors ADD COLUMN parentage jsonb;
COMMENT ON COLUMN spocdb.extractors.parentage IS 'what a trained extractor was made from; null for others';
