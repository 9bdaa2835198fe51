CREATE OR REPLACE FUNCTION spocdb.may_read(collection text DEFAULT NULL)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- The role that runs the statement. current_user is the owner in SECURITY DEFINER functions, which call this.
    SELECT has_table_privilege(r.caller, 'spocdb.queue', 'SELECT') OR CASE WHEN collection IS NULL THEN false ELSE
        coalesce(has_table_privilege(r.caller, to_regclass(format('spocdb.%I', collection)), 'SELECT'), false) END
    FROM (SELECT coalesce(nullif(current_setting('role'), 'none'), session_user)::name AS caller) r
$$;

COMMENT ON FUNCTION spocdb.may_read(text) IS
    'Whether the role that runs the statement may read a collection, by default all: the right to its view, or to the queue';
