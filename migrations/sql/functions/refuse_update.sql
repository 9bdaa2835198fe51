CREATE OR REPLACE FUNCTION spocdb.refuse_update()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%.% is immutable: data that was computed from it would no longer match it',
        TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'make a new one instead';
END
$$;

COMMENT ON FUNCTION spocdb.refuse_update() IS 'Trigger: refuse to update an immutable table';

DO $$
DECLARE
    relation regclass;
BEGIN
    -- Only where it is missing: CREATE TRIGGER locks the table against writers.
    FOR relation IN
        SELECT r.relation
        FROM unnest('{spocdb.extractors, spocdb.descriptors, spocdb.projections,
                      spocdb.projection_components}'::regclass[]) AS r (relation)
        WHERE NOT EXISTS (SELECT FROM pg_trigger t
                          WHERE t.tgrelid = r.relation AND t.tgname = 'refuse_update')
    LOOP
        EXECUTE format('CREATE TRIGGER refuse_update BEFORE UPDATE ON %s
                        FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update()', relation);
    END LOOP;
END
$$;
