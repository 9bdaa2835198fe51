-- Older programs cannot build an index of several tables. Without one they compare all; `spocdb index build` makes one.
SELECT spocdb.repartition(c.id, 1) FROM spocdb.collections c WHERE c.partitions > 1;
ALTER TABLE spocdb.collections DROP COLUMN partitions;
DROP FUNCTION IF EXISTS spocdb.create_collection(text, bigint, integer);
