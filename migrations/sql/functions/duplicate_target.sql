CREATE OR REPLACE FUNCTION spocdb.duplicate_target(collection text, OUT id bigint, OUT projection bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = spocdb, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal record := target(duplicate_target.collection);
BEGIN
    duplicate_target.id := goal.id;
    duplicate_target.projection := goal.projection;
    IF NOT EXISTS (SELECT FROM duplicate_searches s
                   WHERE s.collection_id = goal.id AND s.projection_id = goal.projection) THEN
        RAISE EXCEPTION 'no duplicates of collection % were looked for by its active projection',
            quote_ident(duplicate_target.collection)
            USING ERRCODE = 'SPD01',
                  HINT = format('run `db.duplicates.find(%s)`', to_json(duplicate_target.collection));
    END IF;
END
$$;

COMMENT ON FUNCTION spocdb.duplicate_target(text) IS
    'A collection and its active projection, if duplicates were looked for; refused unless the role that runs the statement may read the collection';

-- Readers call spocdb.duplicate_groups and spocdb.near_duplicates, which call this as the owner.
REVOKE ALL ON FUNCTION spocdb.duplicate_target(text) FROM PUBLIC;
