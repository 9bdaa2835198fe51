"""Listing and facets, by HTTP and in Python."""

import httpx
import pytest

from spocdb.api import Facets
from spocdb.db import facets
from spocdb.errors import InvalidValue
from tests.fixtures.opened import Database
from tests.integration.web.test_api import API, ok

IMAGES = f"{API}/collections/photos/images"


def test_pages_hold_each_image_once_newest_first(client: httpx.Client, ids: dict[str, int]) -> None:
    seen: list[int] = []
    page = ok(client.get(IMAGES, params={"limit": 10}))
    assert (page["n_images"], page["notes"]) == (24, [])
    while True:
        seen += [image["id"] for image in page["images"]]
        if page["next"] is None:
            break
        page = ok(client.get(IMAGES, params={"limit": 10, "before": page["next"]}))
        assert page["n_images"] is None
    assert seen == sorted(ids.values(), reverse=True)


def test_a_page_of_what_matches(client: httpx.Client) -> None:
    found = ok(client.get(IMAGES, params={"filter": "width<320"}))
    assert (found["images"], found["next"], found["n_images"]) == ([], None, 0)
    assert ok(client.get(IMAGES, params={"filter": "width=320"}))["n_images"] == 24
    assert "no image has the key" in ok(client.get(IMAGES, params={"filter": "x=1"}))["notes"][0]


@pytest.mark.parametrize("limit", [0, 1001])
def test_the_size_of_a_page_is_bounded(gallery: Database, limit: int) -> None:
    with pytest.raises(InvalidValue, match="limit must be 1 to 1000"):
        gallery.newest(collection="photos", limit=limit)


METADATA = [
    {"kind": "shoe", "price": n, "sold": f"2024-01-{n + 1:02d}", "tags": ["a", "b"], "in": {"x": n}}
    for n in range(20)
] + [{"kind": "boot", "tags": "a", "mixed": 1}, {"kind": None, "mixed": "1"}]


@pytest.fixture
def shown(db: Database, add_images: object) -> Database:
    """Return a database whose images have METADATA."""
    import numpy as np
    from psycopg.types.json import Jsonb

    assert callable(add_images)
    rng = np.random.default_rng(0)
    add_images(db.connection, rng.normal(size=(len(METADATA), 32)).astype(np.float32))
    rows = db.connection.execute("SELECT id FROM spocdb.images ORDER BY id").fetchall()
    for (id_,), metadata in zip(rows, METADATA, strict=True):
        statement = "UPDATE spocdb.images SET metadata = %s WHERE id = %s"
        db.connection.execute(statement, [Jsonb(metadata), id_])
    return db


def by_key(found: Facets) -> dict[str, tuple[object, ...]]:
    return {
        facet.key: (facet.kind, [(v.value, v.n_images) for v in facet.values])
        if facet.kind == "values"
        else (facet.kind, facet.least, facet.greatest)
        for facet in found.facets
    }


def test_facets_count_values_and_span_numbers_and_dates(shown: Database) -> None:
    found = shown.facets()
    assert found.n_counted == len(METADATA)
    assert by_key(found) == {
        "kind": ("values", [("shoe", 20), (None, 1), ("boot", 1)]),
        "price": ("number", 0, 19),
        "sold": ("date", "2024-01-01", "2024-01-20"),
        "tags": ("values", [("a", 21), ("b", 20)]),
        "mixed": ("values", [("1", 1), (1, 1)]),
    }
    assert next(f.n_values for f in found.facets if f.key == "price") == 20


def test_facets_of_what_matches(shown: Database) -> None:
    found = by_key(shown.facets("price<3"))
    assert found["kind"] == ("values", [("shoe", 3)])
    assert found["price"] == ("values", [(0, 1), (1, 1), (2, 1)])
    assert by_key(shown.facets("price>100")) == {}


def test_many_images_are_sampled(shown: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "MOST_COUNTED", 10)
    # They fill one page, which is in the sample or not.
    counted = {shown.facets().n_counted for _ in range(50)}
    assert counted == {0, len(METADATA)}


def test_facets_by_http(client: httpx.Client) -> None:
    found = ok(client.get(f"{API}/collections/photos/facets"))
    width = next(facet for facet in found["facets"] if facet["key"] == "width")
    assert (width["kind"], width["values"]) == ("values", [{"value": 320, "n_images": 24}])
