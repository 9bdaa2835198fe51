-- Maps are lost; `spocdb map` makes them again.
DROP TRIGGER forget_position ON spocdb.images;
DROP TABLE spocdb.map_positions, spocdb.maps;
-- The older function is created after this.
DROP FUNCTION IF EXISTS spocdb.embeddings(text, bigint[], bigint);
