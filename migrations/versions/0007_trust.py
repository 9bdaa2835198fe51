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
)
# What an older program calls: the versions before.
BEFORE: tuple[str, ...] = ("search_v4",)


def upgrade() -> None:
    for name in FUNCTIONS:
        run_sql(f"functions/{name}")


def downgrade() -> None:
    run_sql("tables/trust_v1_down")
    for name in BEFORE:
        run_sql(f"functions/{name}")
