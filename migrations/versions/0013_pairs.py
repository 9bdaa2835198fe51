"""Near-duplicates: contents that have to be grouped, in steps.

Revision ID: 0013_pairs
Revises: 0012_levels
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql, show_to_readers

revision = "0013_pairs"
down_revision = "0012_levels"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("duplicate_ungrouped")
    run_sql("tables/0013_pairs")
    show_to_readers("duplicate_ungrouped")
    grant_to_workers("SELECT, INSERT, UPDATE, DELETE", "duplicate_ungrouped")


def downgrade() -> None:
    run_sql("tables/0013_pairs_down")
