"""Near-duplicates: pairs of contents, groups around keepers, and decisions of people.

Revision ID: 0010_duplicates
Revises: 0009_learned
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql

revision = "0010_duplicates"
down_revision = "0009_learned"
branch_labels = None
depends_on = None

TABLES = (
    "duplicate_searches",
    "duplicate_changes",
    "duplicate_pairs",
    "duplicate_members",
    "duplicate_decisions",
    "duplicate_edges",
    "duplicate_present",
)


def upgrade() -> None:
    for name in TABLES:
        need_name(name)
    run_sql("tables/0010_duplicates")
    # A worker compares the images that it adds.
    grant_to_workers("SELECT, UPDATE", "duplicate_searches")
    grant_to_workers("SELECT, INSERT, DELETE", "duplicate_changes")
    grant_to_workers("SELECT, INSERT, DELETE", "duplicate_pairs")
    grant_to_workers("SELECT, INSERT, UPDATE, DELETE", "duplicate_members")
    grant_to_workers("SELECT", "duplicate_edges")
    grant_to_workers("SELECT", "duplicate_present")


def downgrade() -> None:
    run_sql("tables/0010_duplicates_down")
