"""Measured quality, and query expansion.

Revision ID: 0002
Revises: 0001
"""

from spocdb.db.migration import run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/evaluations_v1")
    run_sql("functions/embedding_v1")
    run_sql("functions/expand_v1")


def downgrade() -> None:
    run_sql("tables/evaluations_v1_down")
