"""Searches that cost less than a twentieth more than the same SQL by hand; filters that sample.

Revision ID: 0005
Revises: 0004
"""

from spocdb.db.migration import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("target_v2", "embedding_v3", "search_v3"):
        run_sql(f"functions/{name}")


def downgrade() -> None:
    for name in ("target_v1", "embedding_v2", "search_v2"):
        run_sql(f"functions/{name}")
