"""The projections of a collection by HTTP, and in review mode activation and rollback."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.api import Engine
from spocdb.db import collections, images
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from spocdb.training.matching import Labelled
from spocdb.training.projecting import train_head, whiten
from spocdb.training.schedule import Schedule
from spocdb.web import changes
from spocdb.web.changes import Changes
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitForLock, WaitUntil
from tests.integration.web.conftest import Serving

PATH = "/api/v1/collections/photos"
Ended = Callable[[], dict[str, Any]]
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}

END_THOSE_THAT_WAIT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def rows(seed: int) -> Float32Array:
    """Return 40 descriptors of 32 dimensions."""
    found = np.random.default_rng(seed).normal(size=(40, 32)).astype(np.float32)
    normal: Float32Array = found / np.linalg.norm(found, axis=1, keepdims=True)
    return normal


@pytest.fixture
def two(db: Database, add_images: Callable[..., None]) -> Database:
    """Return a database whose collection has projection 1, which is active, and 2, only fitted."""
    add_images(db.connection, rows(0))
    assert db.pca.fit("photos", dim=4) == 2
    return db


@pytest.fixture
def review(two: Database, serve: Serving) -> Iterator[httpx.Client]:
    """Return a client of a server in review mode."""
    with serve(two.engine, is_review=True) as client:
        yield client


def active(db: Database) -> int:
    return db.describe("photos").active.id


@pytest.fixture
def ended(review: httpx.Client, wait_until: WaitUntil) -> Ended:
    """Return a function that waits until the latest change has ended, and returns it."""

    def end() -> dict[str, Any]:
        wait_until(lambda: review.get(f"{PATH}/change").json()["state"] != "running")
        change: dict[str, Any] = review.get(f"{PATH}/change").json()
        return change

    return end


def test_every_version_is_listed(two: Database, review: httpx.Client) -> None:
    raw, fitted = review.get(f"{PATH}/projections").json()
    assert (raw["number"], raw["kind"], raw["dim"], raw["explained"]) == (1, "raw", 32, [])
    assert (raw["is_active"], raw["is_kept"], raw["fitted_on"]) == (True, True, [])
    assert (fitted["number"], fitted["dim"], fitted["n_samples"]) == (2, 4, 40)
    assert (fitted["is_active"], fitted["is_kept"], fitted["is_previous"]) == (False,) * 3
    assert (fitted["settings"]["whiten"], fitted["fitted_on"]) == (True, ["photos"])
    explained = two.pca.show(2)[1].explained
    np.testing.assert_allclose(fitted["explained"], explained, rtol=1e-6)


def test_learned_projections_are_listed_shown_and_activated(
    two: Database, review: httpx.Client
) -> None:
    labels = ((f"/photos/{i:06d}.jpg", {"kind": str(i // 4)}) for i in range(40))
    images.stage_metadata(two.connection, labels)
    images.apply_metadata(two.connection, collections.get(two.connection, "photos"))
    number = whiten(two, Labelled("kind"), dim=4)
    short = Schedule(epochs=1, batch_size=16, learning_rate=1e-3)
    head = train_head(two, Labelled("kind"), dim=12, schedule=short)
    listed = {one["number"]: one for one in review.get(f"{PATH}/projections").json()}
    assert [listed[n]["kind"] for n in (1, 2, number, head)] == [
        "raw",
        "pca",
        "discriminative",
        "head",
    ]
    assert [listed[n]["n_pairs"] for n in (1, 2, number, head)] == [None, None, 30, 30]
    assert listed[number]["settings"]["labels"] == "kind"
    assert [listed[n]["scarcity"] for n in (1, 2, number)] == [None] * 3
    few = "30 matching pairs are few for a head of 12 dimensions, 36 or more are better"
    assert listed[head]["scarcity"] == few
    page = " ".join(review.get("/collections/photos/projections").text.split())
    assert "Discriminative whitening, learned from the labels kind" in page
    assert "Linear head, learned from the labels kind" in page
    assert "<dt>Matching pairs</dt><dd>30</dd>" in page
    assert page.count(f"<p>{few}</p>") == 1
    change = review.post(f"{PATH}/projections/{head}/activate").json()
    assert (change["state"], active(two)) == ("done", head)


def test_activation_and_rollback(two: Database, review: httpx.Client) -> None:
    image = two.newest()[0].id
    before = review.get(f"{PATH}/similar?id={image}").json()["hits"]
    response = review.post(f"{PATH}/projections/2/activate")
    assert response.status_code == 200, response.text
    change = response.json()
    assert (change["state"], change["projection"], active(two)) == ("done", 2, 2)
    versions = review.get(f"{PATH}/projections").json()
    assert [(v["is_active"], v["is_previous"], v["is_indexed"]) for v in versions] == [
        (False, True, False),
        (True, False, True),
    ]
    after = review.get(f"{PATH}/similar?id={image}").json()["hits"]
    assert after != before
    assert [hit["id"] for hit in after] == [hit.id for hit in two.similar(image)]
    assert review.post(f"{PATH}/rollback?to=1").json()["projection"] == 1
    assert active(two) == 1
    assert review.get(f"{PATH}/similar?id={image}").json()["hits"][0]["id"] == before[0]["id"]


def test_a_rollback_leads_to_the_projection_that_the_client_knows(
    two: Database, review: httpx.Client
) -> None:
    two.pca.activate(2)
    # Somebody else activates another one meanwhile.
    two.pca.activate(two.pca.fit("photos", dim=3))
    refused = review.post(f"{PATH}/rollback?to=1")
    assert (refused.status_code, refused.json()["code"]) == (409, "previous-changed")
    assert refused.json()["detail"].startswith("the previous projection of photos is 2 by now")
    assert active(two) == 3
    assert review.post(f"{PATH}/rollback?to=2").json()["projection"] == active(two) == 2


def test_a_change_that_fails_names_no_collection_that_is_not_shown(
    two: Database,
    add_images: Callable[..., None],
    serve: Serving,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_images(two.connection, rows(1), "hidden")
    begin = Changes.begin

    def begin_after_the_collection_went(*arguments: Any) -> Any:
        two.drop("photos")
        return begin(*arguments)

    monkeypatch.setattr(Changes, "begin", begin_after_the_collection_went)
    with serve(two.engine, collections=("photos",), is_review=True) as client:
        refused = client.post(f"{PATH}/projections/2/activate")
        # Whoever asks later, of another collection of the same name, is told no more.
        add_images(two.connection, rows(0))
        change = client.get(f"{PATH}/change").json()
    told = "there is no such collection here"
    assert (refused.status_code, refused.json()["detail"]) == (404, told)
    assert (change["state"], change["said"]) == ("failed", told)


@pytest.mark.parametrize("path", ["/projections/2/activate", "/rollback?to=1"])
def test_a_server_that_only_reads_changes_nothing(two: Database, serve: Serving, path: str) -> None:
    with serve(two.engine) as client:
        response = client.post(PATH + path)
        assert (response.status_code, response.json()["code"]) == (403, "read-only")
        assert response.headers["content-type"] == "application/problem+json"
        assert "in review mode" in response.json()["detail"]
        assert client.get(f"{PATH}/projections").status_code == 200
    assert active(two) == 1


@pytest.mark.parametrize("path", ["/projections/2/activate", "/rollback?to=1"])
def test_pages_of_other_sites_change_nothing(
    two: Database, review: httpx.Client, path: str
) -> None:
    response = review.post(PATH + path, headers=FOREIGN)
    assert (response.status_code, response.json()["code"]) == (403, "cross-origin")
    # A link or a picture on another site sends a GET.
    assert review.get(PATH + path).status_code == 405
    assert (active(two), review.get(f"{PATH}/change").json()) == (1, None)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{PATH}/projections/99/activate", 404, "projection-not-found"),
        (f"{PATH}/rollback?to=1", 404, "projection-not-found"),
        (f"{PATH}/rollback", 422, "invalid-request"),
        (f"{PATH}/projections/0/activate", 422, "invalid-request"),
        (f"{PATH}/projections/{2**63}/activate", 422, "invalid-request"),
        ("/api/v1/collections/none/rollback?to=1", 404, "collection-not-found"),
    ],
)
def test_the_librarys_error_is_the_problem(
    review: httpx.Client, path: str, status: int, code: str
) -> None:
    response = review.post(path)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_change_that_takes_long_goes_on_after_the_answer(
    two: Database,
    review: httpx.Client,
    ended: Ended,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "spocdb")
    monkeypatch.setattr(changes, "SECONDS_TO_ANSWER", 0.05)
    with two.connection.transaction():
        # An index that is built beside searches waits for all transactions that began before.
        two.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        two.connection.execute("SELECT FROM spocdb.collections")
        begun = review.post(f"{PATH}/projections/2/activate")
        assert (begun.status_code, begun.json()["state"]) == (202, "running")
        for path in ("/projections/1/activate", "/projections/2/activate"):
            again = review.post(PATH + path)
            assert (again.status_code, again.json()["code"]) == (409, "change-running")
        # Everything else is answered meanwhile.
        image = two.newest()[0].id
        assert review.get(f"{PATH}/similar?id={image}").status_code == 200
        wait_until(lambda: "building the index" in review.get(f"{PATH}/change").json()["said"])
        running = review.get(f"{PATH}/change").json()
        assert (running["state"], running["ended_at"]) == ("running", None)
    done = ended()
    assert (done["state"], done["projection"], active(two)) == ("done", 2, 2)
    assert done["ended_at"] > done["began_at"]


def test_a_change_has_no_limit_of_time(
    two: Database, serve: Serving, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SECONDS_TO_ANSWER", 0.05)
    with (
        Engine(two.settings, statement_seconds=0.3) as engine,
        serve(engine, is_review=True) as client,
    ):
        with two.connection.transaction():
            two.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
            assert client.post(f"{PATH}/projections/2/activate").status_code == 202
            two.connection.execute("SELECT pg_sleep(0.6)")
        wait_until(lambda: client.get(f"{PATH}/change").json()["state"] != "running")
        assert client.get(f"{PATH}/change").json()["state"] == "done"


def test_a_failure_after_the_answer_is_told(
    two: Database,
    review: httpx.Client,
    ended: Ended,
    wait_for_lock: WaitForLock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(changes, "SECONDS_TO_ANSWER", 0.05)
    with two.connection.transaction():
        two.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        assert review.post(f"{PATH}/projections/2/activate").status_code == 202
        # Not by `two.connection`: a transaction sees the other sessions as they were.
        with two.engine.connection() as looking:
            wait_for_lock(looking)
        two.connection.execute(END_THOSE_THAT_WAIT)
    failed = ended()
    assert (failed["state"], failed["projection"], active(two)) == ("failed", None, 1)
    assert "the database does not answer" in failed["said"]
    (logged,) = [one for one in caplog.messages if one.startswith("the change of photos failed: ")]
    # The log says more than a client is told.
    assert "lost the database" in logged
    # The next try goes on.
    assert review.post(f"{PATH}/projections/2/activate").status_code in (200, 202)
    assert ended()["state"] == "done"


def test_a_server_that_stops_cancels_its_change(two: Database, serve: Serving) -> None:
    with two.connection.transaction():
        two.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        with serve(two.engine, is_review=True) as client:
            assert client.post(f"{PATH}/projections/2/activate").status_code == 202
        assert [t.name for t in threading.enumerate() if t.name == "change"] == []
    assert active(two) == 1
    two.pca.activate(2)


def test_a_stopped_server_begins_none(two: Database) -> None:
    changes = Changes[int](two.settings)
    changes.stop()
    assert changes.begin("photos", lambda db: db.pca.rollback("photos")) is None


def test_a_reader_may_not(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str], serve: Serving
) -> None:
    granted.db.pca.activate(granted.db.pca.fit("secret", dim=2), "products")
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    path = "/api/v1/collections/products"
    with Database(settings) as database, serve(database.engine, is_review=True) as client:
        kept = client.get(f"{path}/projections").json()
        assert [(one["is_kept"], one["fitted_on"]) for one in kept] == [(True, [])] * 2
        for change in ("/projections/1/activate", "/rollback?to=1"):
            response = client.post(path + change)
            assert (response.status_code, response.json()["code"]) == (403, "right-missing")
        assert client.post("/api/v1/collections/secret/rollback?to=1").status_code == 404


def test_collections_that_are_not_shown_are_not_named(
    two: Database, add_images: Callable[..., None], serve: Serving
) -> None:
    add_images(two.connection, rows(1), "hidden")
    used, unused = two.pca.fit("hidden", dim=3), two.pca.fit("hidden", dim=5)
    two.pca.activate(used, "photos")
    with serve(two.engine, collections=("photos",), is_review=True) as client:
        shown = {one["number"]: one for one in client.get(f"{PATH}/projections").json()}
        assert [*shown] == [1, 2, used]
        assert unused not in shown
        for number in (unused, 99):
            refused = client.post(f"{PATH}/projections/{number}/activate")
            assert (refused.status_code, refused.json()["code"]) == (404, "projection-not-found")
            assert refused.json()["detail"] == (
                f"there is no projection {number} to search photos by"
            )
        assert active(two) == used
        assert (shown[2]["fitted_on"], shown[used]["fitted_on"]) == (["photos"], [])
        for path in ("projections", "change"):
            assert client.get(f"/api/v1/collections/hidden/{path}").status_code == 404
        assert client.post("/api/v1/collections/hidden/rollback?to=1").status_code == 404
