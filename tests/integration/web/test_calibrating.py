"""How near copies are is measured by HTTP in review mode: refused at once, or followed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from spocdb import api
from spocdb.settings import from_environment
from spocdb.web.changes import Changes, Progress
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitUntil
from tests.integration.web.conftest import Serving
from tests.integration.web.test_api import API, ok
from tests.integration.web.test_finding import running

ADDRESS = f"{API}/collections/photos/duplicates"
CALIBRATE = f"{ADDRESS}/calibrate"
# What the few images are enough for.
ASKED: dict[str, Any] = {"images": 6, "precision": 0.6, "seed": 3}
# Whoever stores thresholds waits, readers do not.
HELD = "LOCK TABLE spocdb.duplicate_thresholds IN EXCLUSIVE MODE"


@pytest.fixture(scope="session")
def n_photos() -> int:
    return 8


@pytest.fixture
def ingested(db: Database, ingested_photos: Path) -> Database:
    return db


@pytest.fixture
def reviewed(gallery: Database, serve: Serving) -> Iterator[httpx.Client]:
    """Return a client of a gallery that other tests share, for requests that change nothing."""
    with serve(gallery.engine, is_review=True) as client:
        yield client


@pytest.fixture
def client(ingested: Database, serve: Serving) -> Iterator[httpx.Client]:
    with serve(ingested.engine, is_review=True) as client:
        yield client


def test_it_is_followed_alone_and_measures_what_python_measures(
    client: httpx.Client, ingested: Database, wait_until: WaitUntil
) -> None:
    assert ok(client.get(CALIBRATE)) is None
    with ingested.connection.transaction():
        ingested.connection.execute(HELD)
        begun = client.post(CALIBRATE, json=ASKED)
        assert (begun.status_code, begun.json()["state"]) == (202, "running")
        assert begun.json()["measured"] is None
        wait_until(lambda: ok(client.get(CALIBRATE))["n_done"] == 6)
        assert ok(client.get(CALIBRATE))["n_due"] == 6
        refused = client.post(CALIBRATE, json=ASKED)
        assert (refused.status_code, refused.json()["code"]) == (409, "calibration-running")
        assert ok(client.get(f"{ADDRESS}/thresholds")) is None
    # Nobody has to ask for it to go on.
    wait_until(lambda: not running())
    done = ok(client.get(CALIBRATE))
    assert (done["state"], done["said"], done["notes"]) == ("done", "", [])
    measured, stored = done["measured"], ok(client.get(f"{ADDRESS}/thresholds"))
    for name in ("picture", "scene", "bits"):
        assert measured[name] == stored[name]
    own = ingested.duplicates.calibrate(**ASKED)
    assert (measured["picture"], measured["recall"]) == (own.picture, own.recall)
    assert (len(measured["curve"]), len(measured["variants"])) == (100, 16)
    assert measured["nearest"][0]["id"] == own.nearest[0].id
    assert ok(client.post(f"{ADDRESS}/find", json={"level": "picture"}))["state"] == "done"
    decide_about_the_nearest(client, ingested, measured["nearest"])


def decide_about_the_nearest(
    client: httpx.Client, ingested: Database, nearest: list[dict[str, Any]]
) -> None:
    assert {pair["verdict"] for pair in nearest} == {None}
    first, second, *_ = nearest
    for pair, verdict in ((first, "different"), (second, "same")):
        wanted = {"id": pair["id"], "other": pair["other_id"], "verdict": verdict}
        assert client.post(f"{ADDRESS}/decide", json=wanted).status_code == 204
    left = ok(client.get(CALIBRATE))["measured"]["nearest"]
    assert [pair["verdict"] for pair in left[:3]] == ["different", "same", None]
    # Nobody can decide about what is gone.
    ingested.delete(first["id"])
    left = ok(client.get(CALIBRATE))["measured"]["nearest"]
    assert left and first["id"] not in {id for one in left for id in (one["id"], one["other_id"])}


def test_warnings_are_in_the_answer(
    client: httpx.Client, ingested: Database, wait_until: WaitUntil
) -> None:
    ingested.pca.activate(ingested.pca.fit(dim=4))
    (gone, *_) = ingested.images()
    Path(gone.path).unlink()
    client.post(CALIBRATE, json=ASKED | {"images": 8, "seed": 0})
    wait_until(lambda: not running())
    done = ok(client.get(CALIBRATE))
    assert "fitted on 8 images" in done["notes"][0] and "left out: 1 image" in done["notes"][1]
    assert done["measured"]["n_images"] == 7
    page = client.get("/collections/photos/duplicates").text
    assert "fitted on 8 images" in page and "left out: 1 image" in page


def test_that_no_distance_will_do_is_told_on_the_page(
    client: httpx.Client, ingested: Database, wait_until: WaitUntil
) -> None:
    # One dimension tells nothing apart.
    ingested.pca.activate(ingested.pca.fit(dim=1))
    client.post(CALIBRATE, json=ASKED)
    wait_until(lambda: not running())
    measured = ok(client.get(CALIBRATE))["measured"]
    assert measured["picture"] is None and measured["nearest"]
    page = client.get("/collections/photos/duplicates").text
    assert "No distance has precision 0.6, so nothing is stored" in page
    assert page.count('data-verdict="same"') == len(measured["nearest"])
    # By another projection, these distances say nothing.
    ingested.pca.rollback()
    page = client.get("/collections/photos/duplicates").text
    assert "No distance has precision" not in page and "data-verdict" not in page


def test_a_server_that_stops_ends_it_and_stores_nothing(ingested: Database, serve: Serving) -> None:
    with ingested.connection.transaction():
        ingested.connection.execute(HELD)
        with serve(ingested.engine, is_review=True) as client:
            assert client.post(CALIBRATE, json=ASKED).status_code == 202
        assert running() == []
    assert ingested.duplicates.thresholds() is None


def test_it_ends_where_it_next_tells_how_far_it_is(ingested: Database) -> None:
    changes, progress = Changes[None](ingested.engine.settings), Progress()

    def for_ever(own: api.Database) -> None:
        while True:
            progress.tell("changed", 1, 2)

    change = changes.begin("photos", for_ever, progress)
    assert change is not None
    changes.stop()
    assert change.result.done() and "was stopped" in str(change.result.exception())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "takes 149 different images or more, and 24 are there"),
        ({"images": 6}, "images must be 149 to 1,000 for this precision, not 6"),
        ({"images": 200, "precision": 0.995}, "299 to 1,000"),
        ({"precision": 0.995}, "takes 299 different images or more, and 24 are there"),
        ({"precision": 0.999}, "takes 1,499 images, and a server takes 1,000 at most"),
        ({"copies": 0.1}, "takes 1,485 images, and a server takes 1,000 at most"),
        ({"images": 1001}, "images"),
        ({"precision": 1}, "precision"),
        ({"precision": "high"}, "precision"),
        ({"copies": 0}, "copies"),
        ({"seed": 2**63}, "seed"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    reviewed: httpx.Client, asked: dict[str, Any], said: str
) -> None:
    refused = reviewed.post(CALIBRATE, json=asked)
    assert refused.status_code == 422 and said in refused.json()["detail"]
    assert ok(reviewed.get(f"{ADDRESS}/thresholds")) is None


def test_no_such_collection(reviewed: httpx.Client) -> None:
    address = f"{API}/collections/none/duplicates/calibrate"
    assert reviewed.get(address).status_code == 404
    assert reviewed.post(address, json={}).status_code == 404


def test_a_server_that_only_reads_measures_nothing(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine) as client:
        refused = client.post(CALIBRATE, json=ASKED)
        assert (refused.status_code, refused.json()["code"]) == (403, "read-only")
        assert ok(client.get(CALIBRATE)) is None


def test_pages_of_other_sites_may_not(reviewed: httpx.Client) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    refused = reviewed.post(CALIBRATE, json={}, headers=foreign)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross-origin")


def test_a_reader_may_not(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str], serve: Serving
) -> None:
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    with Database(settings) as database, serve(database.engine, is_review=True) as client:
        address = f"{API}/collections/products/duplicates/calibrate"
        refused = client.post(address, json=ASKED)
        assert (refused.status_code, refused.json()["code"]) == (403, "right-missing")
