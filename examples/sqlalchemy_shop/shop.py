"""A shop's products, and which of them look alike."""

from decimal import Decimal

from sqlalchemy import Column, Integer, Numeric, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from spocdb.integrations.sqlalchemy import collection_table

# The environment (PGHOST, PGDATABASE, ...) says where, as to every program of PostgreSQL.
engine = create_engine("postgresql+psycopg://")


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    published: Mapped[bool] = mapped_column(default=True)
    photo: Mapped[str | None]

    image: Mapped["ProductImage | None"] = relationship(
        primaryjoin="Product.id == foreign(ProductImage.id)", viewonly=True
    )

    def similar(self, session: Session, k: int = 10) -> list["Product"]:
        """Return the k published products that look most like this one, nearest first."""
        if self.image is None:  # it has no photo, or no worker has come to it yet
            return []
        # Products that the WHERE turns away are made up for, until there are k.
        session.execute(select(func.spocdb.iterative_scan()))
        nearest = (
            select(Product)
            .join(Product.image)
            .where(Product.id != self.id, Product.published)
            .order_by(ProductImage.embedding.max_inner_product(self.image.embedding))
            .limit(k)
        )
        return list(session.scalars(nearest))


class ProductImage(Base):
    """A product's photo as spocdb knows it: a row of the view spocdb.products."""

    __table__ = collection_table("products", Column("id", Integer), dim=256)
