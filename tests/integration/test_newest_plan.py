"""The newest images of an old collection are found beside many newer ones of another."""

from collections.abc import Callable

from spocdb.db.listing import NEWEST
from tests.fixtures.opened import Database

FILL = """
INSERT INTO spocdb.images (collection_id, path, sha256, size, version, width, height)
SELECT c.id, g::text, sha256((c.id || ' ' || g)::bytea), 1, '', 1, 1
FROM spocdb.collections c, generate_series(1, %s) g WHERE c.name = %s
"""


def test_a_page_of_an_old_collection_reads_no_image_of_a_newer_one(
    db: Database, add_images: Callable[..., object], clustered: Callable[..., object]
) -> None:
    for name, n in (("old", 1000), ("new", 20_000)):
        add_images(db.connection, clustered(4), name)
        db.connection.execute(FILL, [n, name])
    db.connection.execute("ANALYZE spocdb.images")
    values = {"collection": 1, "before": None, "page": 100}
    statement = NEWEST.format(matches="true")
    rows = db.connection.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", values).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "images_newest" in plan
    assert "Rows Removed by Filter" not in plan
