CREATE TABLE spocdb.thumbnails (
    sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    webp   bytea NOT NULL
);
-- Out of line and never compressed: WebP is compressed already, and the table stays small to scan.
ALTER TABLE spocdb.thumbnails ALTER COLUMN webp SET STORAGE EXTERNAL;
COMMENT ON TABLE spocdb.thumbnails IS 'Small pictures by the sha256 of the image''s bytes; deleted with the last image of these bytes';
COMMENT ON COLUMN spocdb.thumbnails.webp IS 'a WebP file, upright and sRGB, at most 256 pixels on its longer side';
