"""The tables and functions of the first release.

Revision ID: 0001
Revises:
"""

from spocdb.db.migration import run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FUNCTIONS = (
    "owner_v1",
    "embedding_table_v1",
    "project_v1",
    "embed_v1",
    "refresh_view_v1",
    "add_embedding_table_v1",
    "activate_v1",
    "drop_embedding_table_v1",
    "create_collection_v1",
    "drop_collection_v1",
    "search_v1",
    "similar_v1",
    "forget_embeddings_v1",
    "refuse_update_v1",
)


def upgrade() -> None:
    run_sql("tables/core_v1")
    for name in FUNCTIONS:
        run_sql(f"functions/{name}")


def downgrade() -> None:
    run_sql("tables/core_v1_down")
