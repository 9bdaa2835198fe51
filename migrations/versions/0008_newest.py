"""An index to list the newest images of one collection beside others.

Revision ID: 0008_newest
Revises: 0007_maps
"""

from spocdb.db.migration import run_sql

revision = "0008_newest"
down_revision = "0007_maps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0008_newest")


def downgrade() -> None:
    run_sql("tables/0008_newest_down")
