-- Questions and answers are lost; clients ask again.
DROP TABLE spocdb.queries;
