"""A role that may read a collection's view reads its rows of spocdb's tables, and no other row.

Revision ID: 0005_readers
Revises: 0004_search
"""

from spocdb.db.migration import run_sql

revision = "0005_readers"
down_revision = "0004_search"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0005_readers")


def downgrade() -> None:
    run_sql("tables/0005_readers_down")
