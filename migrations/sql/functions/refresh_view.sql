CREATE OR REPLACE FUNCTION spocdb.refresh_view(collection bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    view_name text;
    body      text;
    acl       aclitem[];
    granted   record;
BEGIN
    SELECT c.name, format(
        'SELECT %s, i.width, i.height, i.sha256, i.metadata, i.ingested_at,
                e.embedding::@extschema:vector@.%s(%s) AS embedding
         FROM spocdb.%I e JOIN spocdb.images i ON i.id = e.image_id',
        CASE WHEN s.key_column IS NULL THEN 'i.id, i.path'
             ELSE format('i.path::%s AS %I, i.id AS image_id', s.key_type, view_key(s.key_column)) END,
        t.index_type, p.dim, embedding_table(t.collection_id, t.projection_id))
        -- The planner needs this condition to use the partial index of the keys.
        || CASE WHEN s.key_column IS NULL THEN '' ELSE ' AND i.collection_id = ' || c.id END
    INTO STRICT view_name, body
    FROM collections c
    JOIN embedding_tables t ON t.collection_id = c.id AND t.projection_id = c.active_projection_id
    JOIN projections p ON p.id = t.projection_id
    LEFT JOIN sources s ON s.collection_id = c.id
    WHERE c.id = collection;

    -- CREATE OR REPLACE keeps objects that depend on the view; it fails if the embedding's type changes.
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW spocdb.%I AS %s', view_name, body);
        EXECUTE format('ALTER VIEW spocdb.%I OWNER TO %s', view_name, owner());
        RETURN;
    EXCEPTION WHEN invalid_table_definition THEN
        NULL;
    END;

    SELECT relacl INTO acl FROM pg_class WHERE oid = format('spocdb.%I', view_name)::regclass;
    EXECUTE format('DROP VIEW spocdb.%I', view_name);
    EXECUTE format('CREATE VIEW spocdb.%I AS %s', view_name, body);
    EXECUTE format('ALTER VIEW spocdb.%I OWNER TO %s', view_name, owner());
    -- Default privileges may have granted more than the old view had.
    FOR granted IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_class v, aclexplode(v.relacl) a
        WHERE v.oid = format('spocdb.%I', view_name)::regclass AND a.grantee <> v.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON spocdb.%I FROM %s', view_name, granted.role);
    END LOOP;
    FOR granted IN
        SELECT a.privilege_type, a.is_grantable,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM aclexplode(acl) a
    LOOP
        EXECUTE format('GRANT %s ON spocdb.%I TO %s%s', granted.privilege_type, view_name,
            granted.role, CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.refresh_view(bigint) IS
    'Make the view of a collection show its active embeddings; grants on the view are kept';
