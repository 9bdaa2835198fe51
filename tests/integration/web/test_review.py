"""The review of near-duplicates by HTTP."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.integration.web.conftest import API, Serving
from tests.integration.web.test_api import ok

ADDRESS = f"{API}/collections/photos/review"


@pytest.fixture
def copied(db: Database, add_images: Callable[..., None]) -> Database:
    """Return a database of five images, each of them three times."""
    rows = np.eye(5, 32, dtype=np.float32)
    for first in (0, 5, 10):
        add_images(db.connection, rows, first=first)
    db.duplicates.find()
    return db


@pytest.fixture
def client(copied: Database, serve: Serving) -> Iterator[httpx.Client]:
    with serve(copied.engine, is_review=True) as client:
        yield client


def test_pages_are_bounded(client: httpx.Client) -> None:
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = ok(client.get(ADDRESS, params={"after": after, "limit": 2, "members": 2}))
        assert {(len(one["others"]), one["n_others"]) for one in page["groups"]} == {(1, 2)}
        seen += [group["keeper"]["id"] for group in page["groups"]]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5]
    for wrong in ({"limit": 201}, {"members": 1001}, {"distance": 3}, {"distance": "nan"}):
        assert client.get(ADDRESS, params=wrong).status_code == 422


def test_groups_of_images(client: httpx.Client) -> None:
    found = ok(client.get(f"{ADDRESS}/groups", params={"of": [11, 2, 1, 7]}))
    assert [group["keeper"]["id"] for group in found] == [1, 2]
    # One that is gone has no group.
    assert ok(client.get(f"{ADDRESS}/groups", params={"of": [99]})) == []


def test_what_is_kept(client: httpx.Client, copied: Database, serve: Serving) -> None:
    wanted: dict[str, Any] = {"kept": [{"id": 1, "rejected": [6]}, {"id": 2, "rejected": [7]}]}
    assert client.post(f"{ADDRESS}/keep", json=wanted).status_code == 204
    count = ok(client.get(f"{ADDRESS}/count"))
    assert (count["n_groups"], count["n_images"], count["n_rejected"]) == (5, 15, 4)
    undo = {"kept": [{"id": 1}], "undo": True}
    assert client.post(f"{ADDRESS}/keep", json=undo).status_code == 204
    assert ok(client.get(f"{ADDRESS}/count"))["n_rejected"] == 2
    # All or nothing.
    missing = {"kept": [{"id": 3, "rejected": [8]}, {"id": 99}]}
    assert client.post(f"{ADDRESS}/keep", json=missing).status_code == 404
    itself = {"kept": [{"id": 3, "rejected": [3]}]}
    assert client.post(f"{ADDRESS}/keep", json=itself).status_code == 422
    foreign = {"Origin": "http://other.example"}
    assert client.post(f"{ADDRESS}/keep", json=wanted, headers=foreign).status_code == 403
    with serve(copied.engine) as other:
        refused = other.post(f"{ADDRESS}/keep", json=wanted)
        assert refused.status_code == 403 and refused.json()["code"] == "read-only"
    assert ok(client.get(f"{ADDRESS}/count"))["n_rejected"] == 2


def test_nobody_looked(db: Database, add_images: Callable[..., None], serve: Serving) -> None:
    add_images(db.connection, np.eye(2, 32, dtype=np.float32))
    with serve(db.engine) as client:
        for address in (ADDRESS, f"{ADDRESS}/count", f"{ADDRESS}/groups?of=1"):
            refused = client.get(address)
            assert refused.status_code == 404
            assert refused.json()["code"] == "duplicates-not-found"


def test_a_reader_looks_and_decides_nothing(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str], serve: Serving
) -> None:
    for name in ("products", "secret"):
        granted.db.duplicates.find(name, distance=2)
        (group, *_) = granted.db.review.groups(name)
        granted.db.review.keep({group.keeper.id: [group.others[0].id]}, collection=name)
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    with Database(settings) as database, serve(database.engine, is_review=True) as reader:
        own, other = (f"{API}/collections/{name}/review" for name in ("products", "secret"))
        page = ok(reader.get(own))
        assert page["groups"][0]["others"][0]["is_rejected"]
        assert ok(reader.get(f"{own}/count"))["n_rejected"] >= 1
        assert reader.get("/collections/products/duplicates").status_code == 200
        keeper = page["groups"][0]["keeper"]["id"]
        refused = reader.post(f"{own}/keep", json={"kept": [{"id": keeper}]})
        assert (refused.status_code, refused.json()["code"]) == (403, "right-missing")
        assert reader.get(other).status_code == 404
