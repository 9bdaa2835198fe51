-- The release's functions are created after this.
DROP FUNCTION IF EXISTS
    spocdb.embed(text, vector, bigint),
    spocdb.embedding(text, bigint, bigint),
    spocdb.expand(text, vector, integer, double precision, boolean, bigint),
    spocdb.search(text, vector, integer, jsonb, boolean, bigint),
    spocdb.similar(text, bigint, integer, jsonb, boolean, bigint),
    spocdb.target(text, bigint);
