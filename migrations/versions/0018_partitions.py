"""How many tables hold the embeddings of a collection: one, or a number of hash partitions.

Revision ID: 0018_partitions
Revises: 0017_kinds
"""

from spocdb.db.migration import run_sql

revision = "0018_partitions"
down_revision = "0017_kinds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0018_partitions")


def downgrade() -> None:
    run_sql("tables/0018_partitions_down")
