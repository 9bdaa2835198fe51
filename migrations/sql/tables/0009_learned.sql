ALTER TABLE spocdb.projections DROP CONSTRAINT projections_kind_check;

-- A downgrade left the kind of a learned projection among its settings.
ALTER TABLE spocdb.projections DISABLE TRIGGER USER;
UPDATE spocdb.projections SET kind = settings->>'kind', settings = settings - 'kind'
WHERE settings->>'kind' IN ('discriminative', 'head');
ALTER TABLE spocdb.projections ENABLE TRIGGER USER;

ALTER TABLE spocdb.projections ADD CONSTRAINT projections_kind_check
    CHECK (kind IN ('raw', 'pca', 'discriminative', 'head'));
