-- What reading an attached table may rely on.
ALTER TABLE spocdb.sources ADD COLUMN judged jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN spocdb.sources.judged IS
    'the condition as it was judged, and the types of its columns then; with others it is not used';
