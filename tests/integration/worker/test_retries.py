"""Rows that fail are retried later, given up with a reason, or left to another worker."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.images.formats import READ
from spocdb.verdicts import MOST_LOST
from spocdb.worker import WorkerOptions
from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitUntil
from tests.integration.worker.products import WORKING, counts, coverage, logged

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def impatient(db: Database, **options: Any) -> WorkerOptions:
    return WorkerOptions(db.settings.limits, backoff=0.05, **options)


def test_an_image_that_comes_late_is_tried_again(
    db: Database, shop: Path, wait_until: WaitUntil
) -> None:
    db.connection.execute("INSERT INTO products (photo) VALUES ('late.jpg')")
    assert db.tables.work(once=True, options=impatient(db)).n_new == 6
    assert counts(db) == (7, 6, 1, 0, 0)
    (shop / "late.jpg").write_bytes((shop / "0000.jpg").read_bytes())
    wait_until(lambda: db.tables.work(once=True, options=impatient(db)).n_reused == 1)
    assert counts(db) == (7, 7, 0, 0, 0)


def test_what_never_comes_is_given_up_with_the_reason_until_retried(
    db: Database, shop: Path, spocdb: Run, wait_until: WaitUntil
) -> None:
    db.connection.execute("INSERT INTO products (photo) VALUES ('never.jpg'), ('bad.jpg')")
    (shop / "bad.jpg").write_bytes(b"no image")
    options = WorkerOptions(db.settings.limits, backoff=0.001)
    wait_until(
        lambda: bool(db.tables.work(once=True, options=options)) and coverage(db).failed == 2
    )
    assert counts(db) == (8, 6, 0, 0, 2)
    reasons = {f.path: (f.reason, f.message) for f in db.failures("products")}
    assert reasons["7"] == ("ImageVanished", f"there is no file {shop / 'never.jpg'}")
    assert reasons["8"][0] == "UnreadableImage"
    (shop / "never.jpg").write_bytes((shop / "0001.jpg").read_bytes())
    assert spocdb("retry", "7").stdout == "1 row waits again\n"
    ran = spocdb("worker", "--once")
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    assert logged(ran.stderr) == [WORKING, "products: 1 known"]
    assert counts(db) == (8, 7, 0, 0, 1)
    # A new image is tried at once, and the failure is deleted.
    db.connection.execute("UPDATE products SET photo = '0002.jpg' WHERE id = 8")
    db.tables.work(once=True)
    assert counts(db) == (8, 8, 0, 0, 0)


def test_a_failure_is_the_exit_code_of_once(db: Database, shop: Path, spocdb: Run) -> None:
    (shop / "0000.jpg").write_bytes(b"no image")
    ran = spocdb("worker", "--once")
    assert ran.returncode == 3
    *log, last = ran.stderr.splitlines()
    assert logged("\n".join(log)) == [
        WORKING,
        f"products: 5 new, 1 failed, such as: not a {READ} file",
    ]
    assert last == "1 row failed: see `spocdb failures`, `spocdb retry`"


def test_an_unreadable_image_takes_the_embedding_of_the_one_before_along(
    db: Database, shop: Path
) -> None:
    db.tables.work(once=True)
    (shop / "bad.jpg").write_bytes(b"no image")
    db.connection.execute("UPDATE products SET photo = 'bad.jpg' WHERE id = 1")
    db.tables.work(once=True)
    assert counts(db) == (6, 5, 0, 0, 1)
    with pytest.raises(psycopg.errors.NoDataFound, match="has no image of row '1'"):
        db.connection.execute("SELECT * FROM spocdb.similar_rows('products', 1)")


def test_a_lease_hides_a_row_until_it_runs_out(
    db: Database, shop: Path, wait_until: WaitUntil
) -> None:
    db.connection.execute("SELECT spocdb.take_in(collection_id) FROM spocdb.sources")
    db.connection.execute(
        "UPDATE spocdb.queue SET lease = gen_random_uuid(), due_at = now() + interval '1 hour',"
        f" attempts = 1, lost = CASE key WHEN '1' THEN {MOST_LOST - 1} ELSE 0 END"
    )
    assert db.tables.work(once=True).n_seen == 0
    assert counts(db) == (6, 0, 0, 6, 0)
    db.connection.execute("UPDATE spocdb.queue SET due_at = now()")
    wait_until(lambda: bool(db.tables.work(once=True)) and coverage(db).embedded == 5)
    # The row with which workers were lost repeatedly is given up.
    wait_until(lambda: bool(db.tables.work(once=True)) and coverage(db).failed == 1)
    assert counts(db) == (6, 5, 0, 0, 1)
    (failure,) = db.failures("products")
    assert failure.reason == "ProcessLost"
    assert failure.message.startswith("5 workers were lost while they had it: ")


def test_a_row_that_the_application_holds_is_waited_for_without_waiting(
    db: Database, shop: Path, wait_until: WaitUntil
) -> None:
    with psycopg.connect(db.url) as application:
        application.execute("DELETE FROM products WHERE id = 1")
        application.execute("SELECT FROM products WHERE id = 2 FOR UPDATE")
        application.execute("UPDATE products SET colour = 'blue' WHERE id = 3")
        assert db.tables.work(once=True).n_seen == 6
        # Without the deleted and the locked row; an update of other columns blocks nothing.
        assert counts(db) == (6, 4, 2, 0, 0)
    wait_until(lambda: db.tables.work(once=True).n_seen > 0 and coverage(db).pending == 0)
    assert counts(db) == (5, 5, 0, 0, 0)
