"""The map by HTTP: what is known about it, and its points in binary."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from spocdb.web.routes import maps
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving

MAP = "/api/v1/collections/photos/map"


@pytest.fixture
def mapped(
    db: Database, add_images: object, serve: Serving
) -> Iterator[tuple[Database, httpx.Client]]:
    """Return a database of 30 images on a map, and a client of its server."""
    assert callable(add_images)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 32)).astype(np.float32)
    add_images(db.connection, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    db.map(method="components")
    with serve(db.engine) as client:
        yield db, client


def test_the_points_are_those_of_the_library(mapped: tuple[Database, httpx.Client]) -> None:
    db, client = mapped
    about = client.get(MAP).json()
    found = db.describe_map()
    assert about.pop("made_at") == found.made_at.isoformat().replace("+00:00", "Z")
    assert about == {
        "collection": "photos",
        "projection": 1,
        "method": "components",
        "settings": {},
        "n_placed": 30,
        "n_embedded": 30,
        "n_shown": 30,
    }
    answer = client.get(f"{MAP}/points")
    assert answer.headers["content-type"] == "application/octet-stream"
    n = len(answer.content) // 16
    ids = np.frombuffer(answer.content, "<i8", n)
    positions = np.frombuffer(answer.content, "<f4", offset=8 * n).reshape(2, n).T
    points = db.map_points()
    np.testing.assert_array_equal(ids, points.ids)
    np.testing.assert_array_equal(positions, points.positions)
    asked = {"projection": 1}
    assert client.get(f"{MAP}/points", params=asked).content == answer.content


def test_known_points_are_sent_again_only_if_they_changed(
    mapped: tuple[Database, httpx.Client],
) -> None:
    db, client = mapped
    answer = client.get(f"{MAP}/points")

    def again() -> httpx.Response:
        known = {"If-None-Match": answer.headers["etag"]}
        return client.get(f"{MAP}/points", headers=known)

    assert (again().status_code, again().content) == (304, b"")
    assert again().headers["etag"] == answer.headers["etag"]
    db.delete(1)
    answer = again()
    assert (answer.status_code, len(answer.content)) == (200, 29 * 16)
    assert again().status_code == 304
    db.map(method="components")
    assert again().status_code == 200


def test_of_a_large_map_a_sample_is_sent_and_it_is_said(
    mapped: tuple[Database, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MOST_POINTS", 10)
    db, client = mapped
    about = client.get(MAP).json()
    assert (about["n_placed"], about["n_shown"]) == (30, 10)
    answer = client.get(f"{MAP}/points")
    n, rest = divmod(len(answer.content), 16)
    assert rest == 0 and 8 <= n <= 10
    ids = np.frombuffer(answer.content, "<i8", n)
    np.testing.assert_array_equal(ids, db.map_points(most=10).ids)
    page = client.get("/collections/photos/map").text
    assert "30 pictures, of which a sample of 10 is shown," in " ".join(page.split())


def test_no_count_but_that_of_positions_is_asked_for_points(
    mapped: tuple[Database, httpx.Client],
) -> None:
    db, client = mapped
    # A table of embeddings may take long to count.
    db.connection.execute("DROP FUNCTION spocdb.count_embeddings")
    answer = client.get(f"{MAP}/points")
    assert answer.status_code == 200
    known = {"If-None-Match": answer.headers["etag"]}
    assert client.get(f"{MAP}/points", headers=known).status_code == 304


def test_without_a_map_it_is_not_found(client: httpx.Client) -> None:
    for path in (MAP, f"{MAP}/points", "/api/v1/collections/none/map"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get(MAP).json()["code"] == "map-not-found"
    assert client.get(MAP, params={"projection": 0}).status_code == 422
    page = client.get("/collections/photos/map")
    assert page.status_code == 200
    assert "<code>spocdb map photos</code>" in page.text and "<canvas" not in page.text
    page = client.get("/collections/photos/map", params={"projection": 7})
    assert "No map by projection 7 yet" in page.text
    assert "<code>spocdb map photos --projection 7</code>" in page.text


def test_the_page_leads_to_the_maps_by_other_projections(
    mapped: tuple[Database, httpx.Client],
) -> None:
    db, client = mapped
    assert "Also by projection" not in client.get("/collections/photos/map").text
    db.pca.activate(db.pca.fit(dim=4))
    page = client.get("/collections/photos/map").text
    assert "No map yet" in page
    assert '<a href="/collections/photos/map?projection=1">1</a>' in page
    db.map(method="components")
    page = client.get("/collections/photos/map?projection=1").text
    assert "30 pictures" in page
    assert '<a href="/collections/photos/map?projection=2">2</a>' in page


def test_the_page_counts_what_came_after_the_map(
    mapped: tuple[Database, httpx.Client], add_images: object
) -> None:
    db, client = mapped
    assert "came after this map" not in client.get("/collections/photos/map").text
    assert callable(add_images)
    rng = np.random.default_rng(1)
    add_images(db.connection, rng.normal(size=(3, 32)).astype(np.float32), first=100)
    page = client.get("/collections/photos/map").text
    assert (
        "3 of 33 embedded images came after this map: run <code>spocdb map photos</code> again"
        in page
    )
    assert "30 pictures" in page
