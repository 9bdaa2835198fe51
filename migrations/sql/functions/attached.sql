CREATE OR REPLACE FUNCTION spocdb.attached(collection text DEFAULT NULL)
RETURNS TABLE (
    collection text, relation regclass, key_column text, key_type text, image_column text, kind text,
    root text, condition text, metadata text[], allow_private boolean
)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
    -- A reader is not shown what tells of the workers' disks, or of columns that it may be unable to read.
    SELECT c.name, s.relation, s.key_column, s.key_type, s.image_column, s.kind,
           CASE WHEN r.reads_all THEN s.root END, CASE WHEN r.reads_all THEN s.condition END,
           s.metadata, s.allow_private
    FROM sources s JOIN collections c ON c.id = s.collection_id, (SELECT may_read() AS reads_all) r
    WHERE (attached.collection IS NULL OR c.name = attached.collection) AND may_read(c.name)
$$;

COMMENT ON FUNCTION spocdb.attached(text) IS
    'The attached tables of the collections that the caller may read, or of one; root and condition only for the owner and for workers';
