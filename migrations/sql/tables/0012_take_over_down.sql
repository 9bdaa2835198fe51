-- What was taken over stays in the metadata. The trigger of the older functions is made with them.
DROP TRIGGER IF EXISTS note_changed_duplicates ON spocdb.images;
DROP TRIGGER IF EXISTS note_reordered_duplicates ON spocdb.images;
ALTER TABLE spocdb.images DROP taken_over;
ALTER TABLE spocdb.duplicate_changes DROP is_compared;
