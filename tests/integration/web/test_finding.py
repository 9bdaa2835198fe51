"""Duplicates are found by HTTP in review mode: answered at once, or followed to the end."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitUntil
from tests.integration.web.conftest import Serving
from tests.integration.web.test_api import API, ok

ADDRESS = f"{API}/collections/photos/duplicates"
FIND = f"{ADDRESS}/find"
STORE = """
INSERT INTO spocdb.duplicate_thresholds
    (collection_id, projection_id, picture, scene, bits, settings)
SELECT c.id, c.active_projection_id, 0.1, 0.3, 8, '{}' FROM spocdb.collections c
"""


@pytest.fixture
def copied(db: Database, add_images: Callable[..., None]) -> Database:
    """Return a database of five images, each of them twice; duplicates were not looked for."""
    rows = np.eye(5, 32, dtype=np.float32)
    add_images(db.connection, rows)
    add_images(db.connection, rows, first=5)
    return db


@pytest.fixture
def client(copied: Database, serve: Serving) -> Iterator[httpx.Client]:
    with serve(copied.engine, is_review=True) as client:
        yield client


def running(name: str = "change") -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == name]


def test_what_is_quick_is_answered_with_its_result(client: httpx.Client, copied: Database) -> None:
    assert ok(client.get(FIND)) is None
    found = ok(client.post(FIND, json={"distance": 0.3, "keep": "-bytes"}))
    assert (found["state"], found["collection"], found["said"]) == ("done", "photos", "")
    assert found["summary"].items() >= {"n_groups": 5, "n_images": 10, "keep": "-bytes"}.items()
    assert found["step"] == "grouped" and found["n_done"] == found["n_due"] == 5
    assert ok(client.get(FIND)) == found
    assert copied.duplicates.summary().n_groups == 5
    # As the last time.
    assert ok(client.post(FIND, json={}))["summary"]["distance"] == 0.3


def test_what_takes_longer_is_followed_and_alone(
    client: httpx.Client, copied: Database, wait_until: WaitUntil
) -> None:
    with copied.connection.transaction():
        copied.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        begun = client.post(FIND, json={"distance": 0.3})
        assert (begun.status_code, begun.json()["state"]) == (202, "running")
        assert ok(client.get(FIND))["step"] is None
        refused = client.post(FIND, json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "find-running")
        assert "\n" not in refused.json()["detail"]
    # Nobody has to ask for it to go on.
    wait_until(lambda: not running())
    assert ok(client.get(FIND))["summary"]["n_groups"] == 5


def test_a_server_that_stops_ends_it_and_the_next_find_goes_on(
    copied: Database, serve: Serving
) -> None:
    with copied.connection.transaction():
        copied.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        with serve(copied.engine, is_review=True) as client:
            assert client.post(FIND, json={"distance": 0.3}).status_code == 202
        assert running() == []
    with serve(copied.engine, is_review=True) as client:
        assert ok(client.get(FIND)) is None
        assert ok(client.post(FIND, json={"distance": 0.3}))["summary"]["n_groups"] == 5


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"distance": 3}, "distance"),
        ({"distance": "near"}, "distance"),
        ({"distance": 0.3, "level": "bytes"}, "not both"),
        ({"level": "picture"}, "is not calibrated"),
        ({"level": "nearly"}, "level"),
        ({"keep": "largest"}, "largest"),
        ({"keep": "x" * 1001}, "keep"),
    ],
)
def test_what_cannot_be_found_is_refused(
    client: httpx.Client, copied: Database, asked: dict[str, Any], said: str
) -> None:
    refused = client.post(FIND, json=asked)
    assert refused.status_code == 422 and said in refused.json()["detail"]
    assert client.get(ADDRESS).status_code == 404


def test_no_such_collection(client: httpx.Client) -> None:
    for path in ("find", "thresholds"):
        assert client.get(f"{API}/collections/none/duplicates/{path}").status_code == 404
    assert client.post(f"{API}/collections/none/duplicates/find", json={}).status_code == 404


def test_a_server_that_only_reads_finds_nothing(copied: Database, serve: Serving) -> None:
    with serve(copied.engine) as client:
        refused = client.post(FIND, json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "read-only")
        assert ok(client.get(FIND)) is None


def test_pages_of_other_sites_may_not(client: httpx.Client) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    refused = client.post(FIND, json={}, headers=foreign)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross-origin")


def test_a_reader_may_not(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str], serve: Serving
) -> None:
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    with Database(settings) as database, serve(database.engine, is_review=True) as client:
        refused = client.post(f"{API}/collections/products/duplicates/find", json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "right-missing")


def test_thresholds(client: httpx.Client, copied: Database) -> None:
    address = f"{ADDRESS}/thresholds"
    assert ok(client.get(address)) is None
    copied.connection.execute(STORE)
    assert ok(client.get(address)).items() >= {"picture": 0.1, "scene": 0.3, "bits": 8}.items()
    found = ok(client.post(FIND, json={"level": "picture"}))["summary"]
    assert (found["level"], found["distance"]) == ("picture", 0.3)


def test_the_page_says_what_to_do_without_review(copied: Database, serve: Serving) -> None:
    with serve(copied.engine) as client:
        page = client.get("/collections/photos/duplicates").text
        assert "<code>spocdb duplicates find photos --distance 0.3</code>" in page
        assert "<code>spocdb duplicates calibrate photos</code>" in page
        copied.connection.execute(STORE)
        page = client.get("/collections/photos/duplicates").text
        assert "<code>spocdb duplicates find photos --level picture</code>" in page
        assert "up to a distance of 0.100, or up to 0.300 where signatures differ" in page
    assert 'id="find"' not in page
