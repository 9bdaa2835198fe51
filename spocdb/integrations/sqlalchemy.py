"""The view of an attached table's collection, for mapping a class to it.

class ProductImage(Base):
    __table__ = collection_table("products", Column("id", Integer), dim=256)
"""

from typing import Any

from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    FromClause,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
)
from sqlalchemy.dialects.postgresql import JSONB

# pgvector's limit of dimensions for an index of a vector; views of more dimensions show a halfvec.
MOST_OF_A_VECTOR = 2000


def collection_table(collection: str, key: Column[Any], dim: int) -> FromClause:
    """Return the view spocdb.`collection`; `key` is a column like the attached table's key.

    `dim` is that of the active projection. The column `metadata` has the key `image_metadata`,
    because declarative classes reserve `metadata`.
    """
    embedding = VECTOR(dim) if dim <= MOST_OF_A_VECTOR else HALFVEC(dim)
    view = Table(
        collection,
        # A MetaData of its own, so that neither create_all nor Alembic creates the view as a table.
        MetaData(schema="spocdb"),
        key,
        Column("image_id", BigInteger, nullable=False),
        Column("width", Integer, nullable=False),
        Column("height", Integer, nullable=False),
        Column("sha256", LargeBinary, nullable=False),
        Column("metadata", JSONB, nullable=False, key="image_metadata"),
        Column("ingested_at", DateTime(timezone=True), nullable=False),
        Column("embedding", embedding, nullable=False),
        PrimaryKeyConstraint(key),
    )
    # An alias, because `products.id` would be ambiguous beside a table of the same name.
    return view.alias(f"{collection}_images")
