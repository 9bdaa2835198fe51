-- Groups are lost, `spocdb duplicates find` finds them again; decisions are lost for good.
DROP TRIGGER IF EXISTS note_added_duplicates ON spocdb.images;
DROP TRIGGER IF EXISTS note_deleted_duplicates ON spocdb.images;
DROP TRIGGER IF EXISTS note_changed_duplicates ON spocdb.images;
DROP VIEW spocdb.duplicate_edges, spocdb.duplicate_present;
DROP TABLE spocdb.duplicate_decisions, spocdb.duplicate_members, spocdb.duplicate_pairs,
    spocdb.duplicate_changes, spocdb.duplicate_searches;
