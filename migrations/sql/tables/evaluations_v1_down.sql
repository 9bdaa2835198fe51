DROP TABLE spocdb.evaluations;
DROP FUNCTION spocdb.expand(text, vector, integer, double precision, boolean);
DROP FUNCTION spocdb.embedding(text, bigint);
