"""Listing and facets, by HTTP and in Python."""

from typing import Any

import httpx
import numpy as np
import pytest
from psycopg.types.json import Jsonb

from spocdb.api import Facets
from spocdb.db import facets
from spocdb.errors import InvalidValue
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
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


def _describe(db: Database, add_images: object, metadata: list[dict[str, Any]]) -> None:
    """Store an image for each of the metadata."""
    assert callable(add_images)
    rng = np.random.default_rng(0)
    add_images(db.connection, rng.normal(size=(len(metadata), 32)).astype(np.float32))
    rows = db.connection.execute("SELECT id FROM spocdb.images ORDER BY id").fetchall()
    for (id_,), own in zip(rows, metadata, strict=True):
        statement = "UPDATE spocdb.images SET metadata = %s WHERE id = %s"
        db.connection.execute(statement, [Jsonb(own), id_])


@pytest.fixture
def shown(db: Database, add_images: object) -> Database:
    """Return a database whose images have METADATA."""
    _describe(db, add_images, METADATA)
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


def test_of_many_images_the_newest_are_counted(
    shown: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not shown.facets().is_partial
    monkeypatch.setattr(facets, "MOST_COUNTED", 3)
    found = shown.facets()
    assert (found.n_counted, found.is_partial, found.n_keys) == (3, True, 5)
    assert by_key(found)["kind"] == ("values", [(None, 1), ("boot", 1), ("shoe", 1)])
    # Rare matches are found among all images.
    assert by_key(shown.facets("price=2"))["price"] == ("values", [(2, 1)])
    monkeypatch.setattr(facets, "MOST_COUNTED", len(METADATA))
    assert not shown.facets().is_partial


BOUNDED: list[dict[str, Any]] = [
    {f"key {n:03d}": n for n in range(70)} | {"often": 0, 300 * "k": 0},
    {"often": 300 * "v", "short": "s", "huge": 0, "long date": "2024-01-01" + 300 * "!"},
    {"often": [10**400, 10**150, "s"], "huge": 10**400, "long date": "2024-01-02"},
]


def test_what_is_left_out_of_the_facets_is_said(
    db: Database, add_images: object, serve: Serving
) -> None:
    _describe(db, add_images, BOUNDED)
    with serve(db.engine) as client:
        found = ok(client.get(f"{API}/collections/photos/facets"))
        assert len(client.get(f"{API}/collections/photos/facets").content) < 20_000
    assert (found["n_counted"], found["is_partial"], found["n_keys"]) == (3, False, 75)
    assert len(found["facets"]) == 50
    by_name = {facet["key"]: facet for facet in found["facets"]}
    assert {*by_name} >= {"often", "huge", "long date", "key 000"}
    assert 300 * "k" not in by_name
    often = by_name["often"]
    assert (often["n_values"], [one["value"] for one in often["values"]]) == (5, ["s", 0, 10**150])
    assert [one["value"] for one in by_name["huge"]["values"]] == [0]
    assert [one["value"] for one in by_name["long date"]["values"]] == ["2024-01-02"]


def test_facets_by_http(client: httpx.Client) -> None:
    found = ok(client.get(f"{API}/collections/photos/facets"))
    width = next(facet for facet in found["facets"] if facet["key"] == "width")
    assert (width["kind"], width["values"]) == ("values", [{"value": 320, "n_images": 24}])
