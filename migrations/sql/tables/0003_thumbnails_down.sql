-- Thumbnails are lost; they can be made again from the images.
DROP TRIGGER forget_thumbnails ON spocdb.images;
DROP TRIGGER forget_replaced_thumbnail ON spocdb.images;
DROP TABLE spocdb.thumbnails;
