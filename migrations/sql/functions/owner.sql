CREATE OR REPLACE FUNCTION spocdb.owner()
RETURNS regrole
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = 'spocdb.collections'::regclass $$;

COMMENT ON FUNCTION spocdb.owner() IS
    'The role that owns spocdb; it is also given the objects that a superuser creates';
