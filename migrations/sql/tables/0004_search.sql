-- Another argument, `projection`: PostgreSQL does not replace such a function, and two of one name would
-- make calls ambiguous. The files of sql/functions create the new ones.
DROP FUNCTION IF EXISTS
    spocdb.embed(text, vector),
    spocdb.embedding(text, bigint),
    spocdb.expand(text, vector, integer, double precision, boolean),
    spocdb.search(text, vector, integer, jsonb, boolean),
    spocdb.similar(text, bigint, integer, jsonb, boolean),
    spocdb.target(text);
