"""Near-duplicates: pairs of contents, groups around keepers, and decisions of people.

Revision ID: 0010_duplicates
Revises: 0009_learned
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql, show_to_readers

revision = "0010_duplicates"
down_revision = "0009_learned"
branch_labels = None
depends_on = None

OF_COLLECTIONS = (
    "duplicate_searches",
    "duplicate_changes",
    "duplicate_pairs",
    "duplicate_members",
)
NAMES = (*OF_COLLECTIONS, "duplicate_decisions", "duplicate_edges", "duplicate_present")


def upgrade() -> None:
    for name in NAMES:
        need_name(name)
    run_sql("tables/0010_duplicates")
    for name in OF_COLLECTIONS:
        show_to_readers(name)
    # Of images that the role may read, by the index of the hashes, as thumbnails.
    readable = "EXISTS (SELECT FROM spocdb.images i WHERE i.sha256 = {} OFFSET 0)"
    both = " AND ".join(map(readable.format, ("duplicate_decisions.a", "duplicate_decisions.b")))
    show_to_readers("duplicate_decisions", f"({both})")
    # A worker compares the images that it adds.
    grant_to_workers("SELECT, UPDATE", "duplicate_searches")
    grant_to_workers("SELECT, INSERT, DELETE", "duplicate_changes")
    grant_to_workers("SELECT, INSERT, DELETE", "duplicate_pairs")
    grant_to_workers("SELECT, INSERT, UPDATE, DELETE", "duplicate_members")
    grant_to_workers("SELECT", "duplicate_edges")
    grant_to_workers("SELECT", "duplicate_present")


def downgrade() -> None:
    run_sql("tables/0010_duplicates_down")
