"""Searches by any projection that a collection keeps: functions with another argument.

Revision ID: 0004_search
Revises: 0003_thumbnails
"""

from spocdb.db.migration import run_sql

revision = "0004_search"
down_revision = "0003_thumbnails"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0004_search")


def downgrade() -> None:
    run_sql("tables/0004_search_down")
