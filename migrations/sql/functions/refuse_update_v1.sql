CREATE OR REPLACE FUNCTION spocdb.refuse_update()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%.% is immutable: what was made from it would no longer be what it says',
        TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'make a new one instead';
END
$$;

COMMENT ON FUNCTION spocdb.refuse_update() IS 'Trigger: versions never change';

CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.extractors
    FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();
CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.descriptors
    FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();
CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.projections
    FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();
CREATE TRIGGER refuse_update BEFORE UPDATE ON spocdb.projection_components
    FOR EACH STATEMENT EXECUTE FUNCTION spocdb.refuse_update();
