CREATE OR REPLACE FUNCTION spocdb.delete_images(collection text, ids bigint[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target      bigint;
    is_attached boolean;
    n_deleted   bigint;
BEGIN
    SELECT c.id, EXISTS (SELECT FROM sources s WHERE s.collection_id = c.id) INTO target, is_attached
    FROM collections c WHERE c.name = delete_images.collection;
    IF target IS NULL THEN
        RAISE EXCEPTION 'there is no collection named %', quote_ident(delete_images.collection)
            USING ERRCODE = 'undefined_object', HINT = 'SELECT name FROM spocdb.collections';
    ELSIF is_attached THEN
        RAISE EXCEPTION 'collection % is of the rows of a table, which decides what belongs to it',
            quote_ident(delete_images.collection)
            USING ERRCODE = 'invalid_name', HINT = 'delete the rows, or attach the table again with another condition';
    END IF;
    -- Locks rows in the order of a batch, by path, so that the two cannot deadlock.
    PERFORM FROM images i WHERE i.collection_id = target AND i.id = ANY (delete_images.ids)
    ORDER BY i.path FOR UPDATE;
    DELETE FROM images i WHERE i.collection_id = target AND i.id = ANY (delete_images.ids);
    GET DIAGNOSTICS n_deleted = ROW_COUNT;
    RETURN n_deleted;
END
$$;

COMMENT ON FUNCTION spocdb.delete_images(text, bigint[]) IS
    'Delete images of a collection with their embeddings, and thumbnails that no other image has; files and raw descriptors stay; returns how many were deleted';
