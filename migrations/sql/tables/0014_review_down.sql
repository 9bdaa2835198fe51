-- What was chosen is lost; groups are as they were found last.
DROP TABLE spocdb.duplicate_choices;
