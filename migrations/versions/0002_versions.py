"""An image's version is text of its source, not a time and a size.

Revision ID: 0002_versions
Revises: 0.1.0
"""

from spocdb.db.migration import run_sql

revision = "0002_versions"
down_revision = "0.1.0"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0002_versions")


def downgrade() -> None:
    run_sql("tables/0002_versions_down")
