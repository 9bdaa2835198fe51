"""Tables of an application as collections; readers need no more than the view of theirs.

Revision ID: 0004
Revises: 0003
"""

from spocdb.db.migration import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Their search_path no longer names the extension's schema, where others may be allowed to create.
FUNCTIONS = (
    "view_key_v1",
    "target_v1",
    "add_extractor_v1",
    "activate_v3",
    "create_collection_v2",
    "drop_embedding_table_v2",
    "forget_embeddings_v2",
    "add_embedding_table_v3",
    "refresh_view_v2",
    "project_v2",
    "embed_v2",
    "embedding_v2",
    "search_v2",
    "similar_v2",
    "expand_v2",
    "similar_rows_v1",
    "iterative_scan_v1",
    "columns_of_v1",
    "judge_source_v1",
    "add_triggers_v1",
    "remove_source_v1",
    "drop_collection_v2",
    "attach_v1",
    "detach_v1",
    "source_rows_v1",
    "source_keys_v1",
    "lock_rows_v1",
    "lock_collection_v1",
    "take_in_v1",
    "retry_v1",
    "count_coverage_v1",
)
# Not forget_embeddings_v1: it would make its trigger a second time, and does the same.
BEFORE = (
    "activate_v2",
    "create_collection_v1",
    "drop_embedding_table_v1",
    "add_embedding_table_v2",
    "refresh_view_v1",
    "project_v1",
    "embed_v1",
    "embedding_v1",
    "search_v1",
    "similar_v1",
    "expand_v1",
    "drop_collection_v1",
)


def upgrade() -> None:
    run_sql("tables/attachments_v1")
    for name in FUNCTIONS:
        run_sql(f"functions/{name}")


def downgrade() -> None:
    run_sql("tables/attachments_v1_down")
    for name in BEFORE:
        run_sql(f"functions/{name}")
