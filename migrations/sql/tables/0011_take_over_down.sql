-- What was taken over stays in the metadata.
DROP TRIGGER IF EXISTS note_reordered_duplicates ON spocdb.images;
ALTER TABLE spocdb.images DROP taken_over;
ALTER TABLE spocdb.duplicate_changes DROP is_compared;
