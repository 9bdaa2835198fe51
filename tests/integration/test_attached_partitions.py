"""The rows of an attached table in several embedding tables, from the beginning."""

from typing import Any

import pytest

from spocdb.db.attachments import Attachment
from spocdb.errors import ConfigError, InvalidValue
from tests.fixtures.program import Run
from tests.fixtures.shop import Shop

# The valid HNSW indexes of each part.
INDEXES = """
SELECT (SELECT count(*) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am a ON a.oid = i.relam
        WHERE x.indrelid = p.inhrelid AND x.indisvalid AND a.amname = 'hnsw')
FROM pg_inherits p WHERE p.inhparent = 'spocdb.embeddings_1_1'::regclass
"""


def attach(shop: Shop, partitions: int | None) -> str:
    attachment = Attachment("public.products", "id", "photo", root=str(shop.folder))
    return shop.db.tables.attach(attachment, partitions=partitions, **shop.recipe)


def test_workers_fill_several_tables_with_their_indexes(shop: Shop) -> None:
    assert attach(shop, 3) == "products"
    (status,) = shop.db.index.status("products")
    assert (status.partitions, bool(status.index)) == (3, True)
    assert [n for (n,) in shop.db.connection.execute(INDEXES)] == [1, 1, 1]
    shop.db.tables.work(once=True)
    assert shop.db.count(collection="products") == 6
    (first, *_) = images = [*shop.db.images(collection="products")]
    hits = shop.db.similar(first.id, 5, collection="products")
    assert [hit.id for hit in hits] == [
        hit.id for hit in shop.db.similar(first.id, 5, exact=True, collection="products")
    ]
    assert len(images) == 6 and len(hits) == 5
    # Attached again it stays as it is, and refuses another number.
    assert attach(shop, None) == attach(shop, 3) == "products"
    with pytest.raises(ConfigError, match=r"products has 3 partitions: run `db\.index\.build\("):
        attach(shop, 2)
    assert shop.db.count(collection="products") == 6


@pytest.mark.parametrize("partitions", [0, 257])
def test_a_number_out_of_range_attaches_nothing(shop: Shop, partitions: int) -> None:
    with pytest.raises(InvalidValue, match="partitions must be 1 to 256"):
        attach(shop, partitions)
    assert shop.db.tables.list() == []


def test_by_the_command_line(shop: Shop, spocdb: Run, recipe: dict[str, Any]) -> None:
    asked = ["--key", "id", "--image", "photo", "--root", str(shop.folder), "--partitions", "2"]
    ran = spocdb("attach", "public.products", *asked, "--extractor", "mini")
    assert ran.returncode == 0, ran.stderr
    assert "6 rows of public.products wait: run `spocdb worker`" in ran.stderr
    (status,) = shop.db.index.status("products")
    assert status.partitions == 2
