"""${message}.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from spocdb.db.migration import run_sql

revision = "${up_revision}"
down_revision = "${down_revision}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("tables/${up_revision}")


def downgrade() -> None:
    run_sql("tables/${up_revision}_down")
