-- Functions that the older program does not have.
DROP FUNCTION spocdb.delete_images(text, bigint[]);
DROP FUNCTION spocdb.filter_path(jsonb);
DROP FUNCTION spocdb.condition_path(jsonb);
DROP FUNCTION spocdb.compared_path(text, jsonb);
DROP FUNCTION spocdb.contains_path(text, jsonb);
