"""References in the queue: images and archives of collections of files, for workers.

Revision ID: 0016_enqueued
Revises: 0014_review
"""

from spocdb.db.migration import run_sql

revision = "0016_enqueued"
down_revision = "0014_review"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0016_enqueued")


def downgrade() -> None:
    run_sql("tables/0016_enqueued_down")
