CREATE OR REPLACE FUNCTION spocdb.target(
    collection text, INOUT projection bigint DEFAULT NULL, OUT id bigint, OUT dim integer,
    OUT kind text, OUT column_type text, OUT table_name text, OUT hnsw regclass, OUT is_attached boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- The role that runs the statement. current_user is the owner in SECURITY DEFINER functions.
    caller CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
    asked  CONSTANT bigint := target.projection;
BEGIN
    SELECT c.id, p.id, p.dim, t.kind, t.column_type, embedding_table(c.id, p.id),
           EXISTS (SELECT FROM sources s WHERE s.collection_id = c.id)
    INTO target.id, target.projection, target.dim, target.kind, target.column_type,
         target.table_name, target.is_attached
    FROM collections c
    LEFT JOIN embedding_tables t
        ON t.collection_id = c.id AND t.projection_id = coalesce(asked, c.active_projection_id)
    LEFT JOIN projections p ON p.id = t.projection_id
    WHERE c.name = target.collection;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(target.collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    END IF;
    IF NOT (has_table_privilege(caller, format('spocdb.%I', target.collection), 'SELECT')
            OR has_table_privilege(caller, 'spocdb.queue', 'SELECT')) THEN
        RAISE EXCEPTION 'the role % may not read collection %', quote_ident(caller), quote_ident(target.collection)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('the owner of spocdb runs `db.grant_reader(%s, collection=%s)`',
                                to_json(caller::text), to_json(target.collection));
    END IF;
    -- Only a role that may read the collection learns which projections it has.
    IF target.projection IS NULL THEN
        RAISE EXCEPTION 'collection % has no embeddings by projection %', quote_ident(target.collection), asked
            USING ERRCODE = 'undefined_parameter', HINT = 'see `db.pca.list()`';
    END IF;
    hnsw := to_regclass(format('spocdb.%I', table_name || '_hnsw'));
END
$$;

COMMENT ON FUNCTION spocdb.target(text, bigint) IS
    'How a collection is searched by a projection, NULL for the active one; refused unless the role that runs the statement may read the collection';

-- Readers call spocdb.search and spocdb.embed, which call this as the owner.
REVOKE ALL ON FUNCTION spocdb.target(text, bigint) FROM PUBLIC;
