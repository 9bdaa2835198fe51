"""Thumbnails of images, by the sha256 of their bytes.

Revision ID: 0003_thumbnails
Revises: 0002_versions
"""

from spocdb.db.migration import grant_to_workers, need_name, run_sql

revision = "0003_thumbnails"
down_revision = "0002_versions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    need_name("thumbnails")
    run_sql("tables/0003_thumbnails")
    grant_to_workers("SELECT, INSERT, DELETE", "thumbnails")


def downgrade() -> None:
    run_sql("tables/0003_thumbnails_down")
