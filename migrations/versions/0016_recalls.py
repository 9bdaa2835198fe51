"""How many candidates a search needs: recall of each index by ef_search, and the wanted recall.

Revision ID: 0016_recalls
Revises: 0015_enqueued
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql, show_to_readers

revision = "0016_recalls"
down_revision = "0015_enqueued"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("recalls")
    run_sql("tables/0016_recalls")
    show_to_readers("recalls")
    grant_to_workers("SELECT", "recalls")


def downgrade() -> None:
    run_sql("tables/0016_recalls_down")
