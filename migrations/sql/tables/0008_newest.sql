CREATE INDEX images_newest ON spocdb.images (collection_id, id);
