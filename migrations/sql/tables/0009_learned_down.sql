-- Nothing is lost: the older functions project by the numbers of any kind in the same way. The kind is
-- kept among the settings, from where an upgrade takes it back.
ALTER TABLE spocdb.projections DISABLE TRIGGER USER;
UPDATE spocdb.projections SET settings = settings || jsonb_build_object('kind', kind), kind = 'pca'
WHERE kind IN ('discriminative', 'head');
ALTER TABLE spocdb.projections ENABLE TRIGGER USER;

ALTER TABLE spocdb.projections DROP CONSTRAINT projections_kind_check;
ALTER TABLE spocdb.projections ADD CONSTRAINT projections_kind_check CHECK (kind IN ('raw', 'pca'));
