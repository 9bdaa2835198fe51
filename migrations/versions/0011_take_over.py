"""Metadata that keepers took over from their duplicates; changes that only need grouping.

Revision ID: 0011_take_over
Revises: 0010_duplicates
"""

from spocdb.db.migration import run_sql

revision = "0011_take_over"
down_revision = "0010_duplicates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0011_take_over")


def downgrade() -> None:
    run_sql("tables/0011_take_over_down")
