-- Tables that are attached already: a condition that would be refused now stays as it is, unjudged, and
-- whoever reads the table is told to attach it again.
DO $$
DECLARE
    source spocdb.sources;
BEGIN
    FOR source IN SELECT s.* FROM spocdb.sources s WHERE s.condition IS NOT NULL LOOP
        BEGIN
            UPDATE spocdb.sources s
            SET judged = jsonb_build_object(
                'condition', s.condition,
                'types', spocdb.types_of(s.relation, spocdb.columns_of(s.relation, s.condition)))
            WHERE s.collection_id = source.collection_id;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END
$$;
