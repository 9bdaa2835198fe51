"""Release 0.1.0.

Revision ID: 0.1.0
Revises:
"""

from spocdb.db.migration import run_functions, run_sql

revision = "0.1.0"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("releases/0.1.0/tables")
    run_functions("releases/0.1.0/functions")


def downgrade() -> None:
    run_functions("releases/0.1.0/functions")
    run_sql("releases/0.1.0/tables_down")
