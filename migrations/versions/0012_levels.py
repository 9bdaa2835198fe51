"""Near-duplicates: levels, calibrated thresholds, signatures of pictures.

Revision ID: 0012_levels
Revises: 0011_take_over
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql, show_to_readers

revision = "0012_levels"
down_revision = "0011_take_over"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("duplicate_thresholds")
    run_sql("tables/0012_levels")
    show_to_readers("duplicate_thresholds")
    grant_to_workers("SELECT", "duplicate_thresholds")


def downgrade() -> None:
    run_sql("tables/0012_levels_down")
