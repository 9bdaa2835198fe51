CREATE TABLE spocdb.thumbnails (
    sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    webp   bytea NOT NULL
);
-- Out of line and never compressed: WebP is compressed already, and the table stays small to scan.
ALTER TABLE spocdb.thumbnails ALTER COLUMN webp SET STORAGE EXTERNAL;
COMMENT ON TABLE spocdb.thumbnails IS 'Small pictures by the sha256 of the image''s bytes; deleted with the last image of these bytes';
COMMENT ON COLUMN spocdb.thumbnails.webp IS 'a WebP file, upright and sRGB, at most 256 pixels on its longer side';

-- Roles that may insert images, such as workers, may write thumbnails.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT a.grantee::regrole::text AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'spocdb.images'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON spocdb.thumbnails TO %s', granted.role);
    END LOOP;
END
$$;
