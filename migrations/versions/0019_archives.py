"""Archives that were listed to their end, so that unchanged ones are not opened again.

Revision ID: 0019_archives
Revises: 0018_partitions
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql

revision = "0019_archives"
down_revision = "0018_partitions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("listed_archives")
    run_sql("tables/0019_archives")
    grant_to_workers("SELECT, INSERT, UPDATE", "listed_archives")


def downgrade() -> None:
    run_sql("tables/0019_archives_down")
