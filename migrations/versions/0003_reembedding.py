"""Another extractor for a collection, and what a trained one was made from.

Revision ID: 0003
Revises: 0002
"""

from spocdb.db.migration import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/parentage_v1")
    run_sql("functions/add_embedding_table_v2")
    run_sql("functions/activate_v2")


def downgrade() -> None:
    run_sql("tables/parentage_v1_down")
    run_sql("functions/add_embedding_table_v1")
    run_sql("functions/activate_v1")
