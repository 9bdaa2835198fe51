"""Kinds of index: which one an embedding table has, and what its searches compare by.

Revision ID: 0017_kinds
Revises: 0016_recalls
"""

from spocdb.db.migration import run_sql

revision = "0017_kinds"
down_revision = "0016_recalls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0017_kinds")


def downgrade() -> None:
    run_sql("tables/0017_kinds_down")
