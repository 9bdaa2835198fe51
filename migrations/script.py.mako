"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from spocdb.db.migration import run_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
