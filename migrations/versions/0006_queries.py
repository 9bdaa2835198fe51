"""A client asks for the embedding of a new picture by a row, which workers answer.

Revision ID: 0006_queries
Revises: 0005_readers
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql

revision = "0006_queries"
down_revision = "0005_readers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("queries")
    run_sql("tables/0006_queries")
    grant_to_workers("SELECT, UPDATE, DELETE", "queries")


def downgrade() -> None:
    run_sql("tables/0006_queries_down")
