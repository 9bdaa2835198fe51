"""Near-duplicates by HTTP."""

from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.test_api import API, ok

ADDRESS = f"{API}/collections/photos/duplicates"


@pytest.fixture
def copied(db: Database, add_images: Callable[..., None]) -> Database:
    """Return a database of five images, each of them twice."""
    rows = np.eye(5, 32, dtype=np.float32)
    add_images(db.connection, rows)
    add_images(db.connection, rows, first=5)
    db.duplicates.find()
    return db


@pytest.fixture
def client(copied: Database, serve: Serving) -> Iterator[httpx.Client]:
    with serve(copied.engine, is_review=True) as client:
        yield client


def test_pages_hold_each_group_once(client: httpx.Client, copied: Database) -> None:
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = ok(client.get(ADDRESS, params={"after": after, "limit": 2}))
        if after:
            assert page["summary"] is None
        else:
            counts = {"n_groups": 5, "n_images": 10, "n_due": 0}
            assert page["summary"].items() >= counts.items()
        seen += [group["keeper"]["id"] for group in page["groups"]]
        after = page["next"]
    assert seen == [group.keeper.id for group in copied.duplicates.groups()] == [1, 2, 3, 4, 5]
    assert page["groups"][0]["others"][0].keys() >= {"id", "path", "distance", "sha256"}


def test_a_page_is_bounded_whatever_its_groups(
    client: httpx.Client, copied: Database, add_images: Callable[..., None]
) -> None:
    for n in range(3):
        add_images(copied.connection, np.eye(1, 32, dtype=np.float32), first=100 + n)
    copied.duplicates.find()
    first, *_ = ok(client.get(ADDRESS, params={"members": 3}))["groups"]
    assert (first["keeper"]["id"], first["n_others"], len(first["others"])) == (1, 4, 2)
    first, *_ = ok(client.get(ADDRESS))["groups"]
    assert (first["n_others"], len(first["others"])) == (4, 4)
    for wrong in (1, 1001, -1, "all"):
        assert client.get(ADDRESS, params={"members": wrong}).status_code == 422


def test_the_group_of_an_image(
    client: httpx.Client, copied: Database, add_images: Callable[..., None]
) -> None:
    keeper, own = (ok(client.get(f"{ADDRESS}/groups/{id}")) for id in (2, 7))
    assert keeper == own
    assert (own["keeper"]["id"], own["n_others"]) == (2, 1)
    assert [one["id"] for one in own["others"]] == [7]
    add_images(copied.connection, np.eye(6, 32, dtype=np.float32), first=100)
    copied.duplicates.find()
    # The sixth is like no other image.
    assert ok(client.get(f"{ADDRESS}/groups/16")) is None
    bounded = ok(client.get(f"{ADDRESS}/groups/7", params={"members": 2}))
    assert (bounded["n_others"], len(bounded["others"])) == (2, 1)
    missing = client.get(f"{ADDRESS}/groups/99")
    assert (missing.status_code, missing.json()["code"]) == (404, "image-not-found")
    for wrong in ("groups/0", "groups/all", "groups/1?members=1"):
        assert client.get(f"{ADDRESS}/{wrong}").status_code == 422


def test_decisions_are_taken_in_review_mode(
    client: httpx.Client, copied: Database, serve: Serving
) -> None:
    wanted = {"id": 1, "other": 2, "verdict": "same"}
    assert client.post(f"{ADDRESS}/decide", json=wanted).status_code == 204
    assert ok(client.get(ADDRESS))["summary"]["n_groups"] == 4
    refused = client.post(f"{ADDRESS}/decide", json=wanted | {"other": 6})
    assert refused.status_code == 422 and "the same bytes" in refused.json()["detail"]
    assert client.post(f"{ADDRESS}/decide", json=wanted | {"other": 99}).status_code == 404
    assert client.post(f"{ADDRESS}/decide", json=wanted | {"verdict": "maybe"}).status_code == 422
    foreign = {"Origin": "http://other.example"}
    assert client.post(f"{ADDRESS}/decide", json=wanted, headers=foreign).status_code == 403
    with serve(copied.engine) as other:
        refused = other.post(f"{ADDRESS}/decide", json=wanted)
        assert refused.status_code == 403 and refused.json()["code"] == "read-only"
    assert len(copied.duplicates.decisions()) == 1


def test_a_search_shows_a_group_once(client: httpx.Client, copied: Database) -> None:
    asked = {"id": 1, "k": 3, "exact": True, "collapse": True}
    found = ok(client.get(f"{API}/collections/photos/similar", params=asked))["hits"]
    hits = copied.similar(1, 3, exact=True, collapse=True)
    assert [(hit["id"], hit["n_duplicates"]) for hit in found] == [(hit.id, 1) for hit in hits]
    plain = ok(client.get(f"{API}/collections/photos/similar", params={"id": 1}))["hits"]
    assert len(plain) == 9 and {hit["n_duplicates"] for hit in plain} == {None}
    copied.connection.execute("DELETE FROM spocdb.duplicate_searches")
    refused = client.get(f"{API}/collections/photos/similar", params=asked)
    assert refused.status_code == 404 and refused.json()["code"] == "duplicates-not-found"


def test_nobody_looked(db: Database, add_images: Callable[..., None], serve: Serving) -> None:
    add_images(db.connection, np.eye(2, 32, dtype=np.float32))
    with serve(db.engine) as client:
        for address in (ADDRESS, f"{ADDRESS}/groups/1"):
            refused = client.get(address)
            assert refused.status_code == 404 and refused.json()["code"] == "duplicates-not-found"
