"""Products can be found by how they look."""

import os

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.attach_images("products", key="id", image="photo", root=os.environ["SHOP_PHOTOS"])


def downgrade() -> None:
    op.detach_images("products")
