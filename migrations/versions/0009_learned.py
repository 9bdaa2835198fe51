"""Projections that are learned: discriminative whitening and linear heads.

Revision ID: 0009_learned
Revises: 0008_newest
"""

from spocdb.db.migration import run_sql

revision = "0009_learned"
down_revision = "0008_newest"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0009_learned")


def downgrade() -> None:
    run_sql("tables/0009_learned_down")
