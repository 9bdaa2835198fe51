DROP TABLE spocdb.listed_archives;
