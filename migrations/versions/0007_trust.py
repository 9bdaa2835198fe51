"""What trials found: rights, poisonous rows, and messages of an attached table.

Revision ID: 0007
Revises: 0006
"""

from spocdb.db.migration import run_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# New functions and new versions of functions, in the order in which they need each other.
FUNCTIONS: tuple[str, ...] = (
    "contains_path_v1",
    "compared_path_v1",
    "condition_path_v1",
    "filter_path_v1",
    "search_v5",
    "delete_images_v1",
    "hazard_of_v1",
    "types_of_v1",
    "judge_condition_v1",
    "columns_of_v2",
    "judge_source_v2",
    "attach_v2",
    "open_source_v1",
    "source_rows_v2",
    "source_keys_v2",
    "lock_rows_v2",
    "target_v3",
    "project_v3",
    "embed_v3",
    "take_in_v2",
    "retry_v2",
    "count_coverage_v2",
    "similar_v3",
    "activate_v4",
)
# What an older program calls: the versions before.
BEFORE: tuple[str, ...] = (
    "search_v4",
    "columns_of_v1",
    "judge_source_v1",
    "attach_v1",
    "source_rows_v1",
    "source_keys_v1",
    "lock_rows_v1",
    "target_v2",
    "project_v2",
    "embed_v2",
    "take_in_v1",
    "retry_v1",
    "count_coverage_v1",
    "similar_v2",
    "activate_v3",
)


def upgrade() -> None:
    run_sql("tables/trust_v1")
    for name in FUNCTIONS:
        run_sql(f"functions/{name}")
    run_sql("tables/trust_sources_v1")


def downgrade() -> None:
    run_sql("tables/trust_v1_down")
    run_sql("tables/coverage_kept_v1")
    for name in BEFORE:
        run_sql(f"functions/{name}")
    run_sql("tables/coverage_back_v1")
