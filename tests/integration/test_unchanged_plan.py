"""Which files are unchanged is looked up name by name, however many images the collection has."""

from collections.abc import Callable

from spocdb.db import collections, images
from spocdb.records import ImageRef
from tests.fixtures.opened import Database

FILL = """
INSERT INTO spocdb.images (collection_id, path, sha256, size, version, width, height)
SELECT 1, lpad(g::text, 6, '0'), sha256(g::text::bytea), 1, 'old', 1, 1
FROM generate_series(1, 10000) g
"""
ASKED = 512


def test_names_are_looked_up_without_reading_the_collection(
    db: Database, add_images: Callable[..., object], clustered: Callable[..., object]
) -> None:
    add_images(db.connection, clustered(4), "many")
    db.connection.execute(FILL)
    db.connection.execute("ANALYZE spocdb.images")
    names = [f"{number:06d}" for number in range(1, ASKED + 1)]
    versions = ["old", "new"] * (ASKED // 2)
    explain = f"EXPLAIN (ANALYZE) {images.UNCHANGED}"
    rows = db.connection.execute(explain, [names, versions, 1, None, None, 1]).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "images_collection_id_path_key" in plan
    assert "Seq Scan on images" not in plan and "Sort" not in plan
    refs = [ImageRef(*pair) for pair in zip(names, versions, strict=True)]
    collection = collections.get(db.connection, "many")
    stored, failed = images.unchanged(db.connection, collection, refs)
    assert stored == set(names[::2]) and not failed
