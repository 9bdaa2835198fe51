"""References in the queue: images and archives of collections of files, for workers.

Revision ID: 0015_enqueued
Revises: 0014_review
"""

from spocdb.db.migration import run_sql

revision = "0015_enqueued"
down_revision = "0014_review"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/0015_enqueued")


def downgrade() -> None:
    run_sql("tables/0015_enqueued_down")
