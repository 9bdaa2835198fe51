CREATE OR REPLACE FUNCTION spocdb.make_embedding_table(collection bigint, projection bigint, table_name text, partitions integer)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
DECLARE
    made    record;
    part    text;
    granted record;
BEGIN
    SELECT t.column_type, p.dim, owner() AS owner,
           format('Embeddings of collection %s by projection %s; see spocdb.embedding_tables', t.collection_id, p.id) AS about
    INTO STRICT made
    FROM embedding_tables t JOIN projections p ON p.id = t.projection_id
    WHERE t.collection_id = collection AND t.projection_id = projection;
    EXECUTE format(
        'CREATE TABLE spocdb.%1$I (image_id bigint PRIMARY KEY, embedding @extschema:vector@.%2$s(%3$s) NOT NULL) %4$s;
         ALTER TABLE spocdb.%1$I ALTER COLUMN embedding SET STORAGE PLAIN;
         COMMENT ON TABLE spocdb.%1$I IS %5$L;
         ALTER TABLE spocdb.%1$I OWNER TO %6$s',
        table_name, made.column_type, made.dim,
        CASE WHEN partitions > 1 THEN 'PARTITION BY HASH (image_id)' END, made.about, made.owner);
    IF partitions > 1 THEN
        FOR n IN 0..partitions - 1 LOOP
            part := format('%s_%s_of_%s', embedding_table(collection, projection), n, partitions);
            EXECUTE format(
                'CREATE TABLE spocdb.%1$I PARTITION OF spocdb.%2$I FOR VALUES WITH (MODULUS %3$s, REMAINDER %4$s);
                 COMMENT ON TABLE spocdb.%1$I IS %5$L;
                 ALTER TABLE spocdb.%1$I OWNER TO %6$s',
                part, table_name, partitions, n, made.about, made.owner);
        END LOOP;
    END IF;
    -- Roles that may insert images may write embeddings. What goes through a partitioned table needs no right to its parts.
    FOR granted IN
        SELECT DISTINCT a.grantee::regrole::text AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'spocdb.images'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON spocdb.%I TO %s', table_name, granted.role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION spocdb.make_embedding_table(bigint, bigint, text, integer) IS
    'Make a table, or a partitioned table and its parts, for the embeddings of a collection by a projection that spocdb.embedding_tables has';
