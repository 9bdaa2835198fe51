CREATE OR REPLACE FUNCTION spocdb.described_by(image bigint)
RETURNS text[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
    -- Only by extractors of this collection's projections: others tell that other collections have these bytes.
    SELECT array_agg(e.name ORDER BY e.name)
    FROM images i
    JOIN collections c ON c.id = i.collection_id
    JOIN descriptors d ON d.sha256 = i.sha256
    JOIN extractors e ON e.id = d.extractor_id
    WHERE i.id = image AND may_read(c.name) AND (may_read() OR d.extractor_id IN (
        SELECT p.extractor_id FROM embedding_tables t JOIN projections p ON p.id = t.projection_id
        WHERE t.collection_id = c.id))
$$;

COMMENT ON FUNCTION spocdb.described_by(bigint) IS
    'The extractors by which an image has a raw descriptor; NULL if the caller may not read its collection';
