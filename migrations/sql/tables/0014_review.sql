-- By content, as other decisions: it survives a moved file, another ingest and another projection.
CREATE TABLE spocdb.duplicate_choices (
    kept       bytea NOT NULL CHECK (octet_length(kept) = 32),
    rejected   bytea NOT NULL DEFAULT '' CHECK (octet_length(rejected) IN (0, 32)),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_by text NOT NULL DEFAULT current_user,
    PRIMARY KEY (kept, rejected)
);
COMMENT ON TABLE spocdb.duplicate_choices IS 'Which content of a group a person keeps, and which others are rejected beside it, in all collections';
COMMENT ON COLUMN spocdb.duplicate_choices.kept IS 'comes first in its group, before the keeper rule; of several the one that was decided last';
COMMENT ON COLUMN spocdb.duplicate_choices.rejected IS 'is rejected as long as it is in a group whose keeper has the content `kept`; the same content: all its files but the keeper; empty: none, `kept` was chosen';
