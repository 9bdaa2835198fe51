-- What reading an attached table may rely on.
ALTER TABLE spocdb.sources ADD COLUMN judged jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN spocdb.sources.judged IS
    'the condition as it was judged, and the types of its columns then; with others it is not used';
-- Workers that were lost are counted apart from tries of the image, and bytes that a network gave and
-- that are no image are remembered until they have come often enough to be believed.
ALTER TABLE spocdb.queue
    ADD COLUMN lost           integer NOT NULL DEFAULT 0,
    ADD COLUMN rejected       bytea,
    ADD COLUMN rejections     integer NOT NULL DEFAULT 0,
    ADD COLUMN rejected_since timestamptz;
COMMENT ON COLUMN spocdb.queue.attempts IS 'how often its image was tried since the row changed; tries that lost their worker are in lost';
COMMENT ON COLUMN spocdb.queue.lost IS 'how many leases ran out since the row changed: workers that died, or were too slow';
COMMENT ON COLUMN spocdb.queue.rejected IS 'sha256 of the bytes that its URL gave last and that are no image';
COMMENT ON COLUMN spocdb.queue.rejections IS 'how many tries in a row gave the rejected bytes';
COMMENT ON COLUMN spocdb.queue.rejected_since IS 'when the first of these tries was';
