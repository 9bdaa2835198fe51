"""Near-duplicates as a person reviews them: what is kept, and what is rejected beside it.

Revision ID: 0014_review
Revises: 0013_pairs
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql

revision = "0014_review"
down_revision = "0013_pairs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("duplicate_choices")
    run_sql("tables/0014_review")
    # Readers are shown it by spocdb.duplicate_review. A worker groups the images that it adds.
    grant_to_workers("SELECT", "duplicate_choices")


def downgrade() -> None:
    run_sql("tables/0014_review_down")
