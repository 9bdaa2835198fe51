"""An ingest reads, computes and writes concurrently; two ingests of one folder lose nothing."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.errors import CollectionNotFound
from spocdb.images.decode import decode
from spocdb.progress import Progress
from spocdb.settings import from_environment
from tests.fixtures.ingested import network, rows
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Options = dict[str, Any]


def test_a_batch_is_one_transaction(db: Database, recipe: Options, make_photos: Make) -> None:
    db.ingest(make_photos(12), batch_size=4, **recipe)
    transactions = db.connection.execute(
        "SELECT array_agg(DISTINCT d.xmin::text), array_agg(DISTINCT e.xmin::text), count(*)"
        " FROM spocdb.images i JOIN spocdb.descriptors d USING (sha256)"
        " JOIN spocdb.embeddings_1_1 e ON e.image_id = i.id GROUP BY i.xmin::text"
    ).fetchall()
    assert [n for _, _, n in transactions] == [4, 4, 4]
    for descriptors, embeddings, _ in transactions:
        # Not equal: descriptors are written after a savepoint, which has its own transaction id.
        assert len(descriptors) == len(embeddings) == 1


def test_writing_does_not_hold_up_the_network(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(12)
    db.ingest(folder / "0000.jpg", **recipe)
    with psycopg.connect(db.url) as blocker:
        blocker.execute("SELECT FROM spocdb.collections FOR NO KEY UPDATE")

        def let_go_at_the_second_batch(n: int) -> None:
            # On a CPU the network computes each image separately.
            if n == 3:
                # The first batch was submitted, and cannot be written yet.
                assert len(rows(db)) == 1
                blocker.rollback()

        # If the loop waited until the first batch is written, this would never end.
        db.connection.execute(
            f"ALTER DATABASE {db.connection.info.dbname} SET lock_timeout = '20s'"
        )
        with network(let_go_at_the_second_batch) as sizes:
            db.ingest(folder, batch_size=2, precision="float32")
    assert sum(sizes) == 11
    assert len(rows(db)) == 12


def test_the_next_images_are_decoded_while_the_network_runs(
    db: Database, recipe: Options, make_photos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = threading.Semaphore(0)

    def count_and_decode(*arguments: Any, **options: Any) -> Any:
        decoded.release()
        return decode(*arguments, **options)

    monkeypatch.setattr("spocdb.pipeline.intake.decode", count_and_decode)

    def wait_for_the_second_image(n: int) -> None:
        if n == 1:
            for _ in range(2):
                assert decoded.acquire(timeout=30)

    with network(wait_for_the_second_image) as sizes:
        db.ingest(make_photos(6), batch_size=1, precision="float32", **recipe)
    assert sizes == [1] * 6


def test_two_ingests_of_one_folder_at_once_lose_and_double_nothing(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(40)
    db.ingest(folder / "0000.jpg", **recipe)
    stored: list[int] = []

    def ingest() -> None:
        with Database(db.settings) as other:
            progress = other.ingest(folder, batch_size=3)
            stored.append(progress.n_stored + progress.n_unchanged)

    threads = [threading.Thread(target=ingest) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored == [40, 40, 40]
    assert len(rows(db)) == 40
    assert len({id_ for id_, _, _ in rows(db).values()}) == 40


def test_two_first_ingests_at_once_make_one_collection(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(6)
    outcomes: list[int] = []
    together = threading.Barrier(2)

    def ingest() -> None:
        with Database(db.settings) as other:
            together.wait(30)
            outcomes.append(other.ingest(folder, **recipe).n_seen)

    threads = [threading.Thread(target=ingest) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [6, 6]
    assert len(rows(db)) == 6


def test_each_image_moves_the_count_that_a_person_sees(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    told: list[Progress] = []
    shown: list[tuple[int, int]] = []

    def note(n: int) -> None:
        shown.append((told[0].n_done, told[0].n_shown))

    with network(note):
        db.ingest(
            make_photos(8), batch_size=8, precision="float32", on_progress=told.append, **recipe
        )
    # One batch: no image is counted as done before all are. Decoding counts as half.
    assert {n_done for n_done, _ in shown} == {0}
    assert shown[0][1] == 4 and shown[-1][1] >= 7
    assert all(progress is told[0] for progress in told)
    assert (told[0].n_shown, told[0].doing) == (8, "fitting the first PCA")


def test_a_collection_that_is_dropped_meanwhile_is_a_clear_error(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    def drop(n: int) -> None:
        if n == 2:
            with Database(from_environment(db.url, {})) as other:
                other.drop("photos")

    with (
        network(drop),
        pytest.raises(CollectionNotFound, match="photos was dropped meanwhile"),
    ):
        db.ingest(make_photos(12), batch_size=1, **recipe)
