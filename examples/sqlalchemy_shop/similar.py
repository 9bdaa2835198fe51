"""Print the products that look like one: python similar.py ID."""

import sys

from shop import Product, engine
from sqlalchemy.orm import Session

with Session(engine) as session:
    product = session.get_one(Product, int(sys.argv[1]))
    for other in product.similar(session, k=5):
        print(other.id, other.name, other.price, sep="\t")
