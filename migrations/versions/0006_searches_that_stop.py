"""Searches without a filter stop where the index does, unless deletions left them too few.

Revision ID: 0006
Revises: 0005
"""

from spocdb.db.migration import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("functions/search_v4")


def downgrade() -> None:
    run_sql("functions/search_v3")
