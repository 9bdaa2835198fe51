"""The shop's products."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("price", sa.Numeric(10, 2), nullable=False),
        sa.Column("published", sa.Boolean, nullable=False),
        sa.Column("photo", sa.String),
    )


def downgrade() -> None:
    op.drop_table("products")
