DROP INDEX spocdb.images_newest;
