"""Images and archives in the queue: put there once, taken by workers, failures told."""

from collections.abc import Callable
from pathlib import Path
from socket import gethostname
from typing import Any

import psycopg
import pytest

from spocdb.errors import CollectionNotFound, ConfigError
from spocdb.feeds import WorkerOptions
from spocdb.progress import Progress
from tests.fixtures.archived import shard
from tests.fixtures.ingested import counts, network
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.integration.test_archives import stored

Make = Callable[..., Path]
Recipe = dict[str, Any]


def queued(progress: Progress) -> tuple[int, int, int, int]:
    unread = progress.n_unchanged, progress.n_failed
    return (progress.n_enqueued, progress.n_waiting, *unread)


def entries(db: Database) -> list[str]:
    rows = db.connection.execute("SELECT key FROM spocdb.queue ORDER BY key")
    return [Path(key).name for (key,) in rows]


def work(db: Database, **options: Any) -> Progress:
    return db.tables.work(once=True, options=WorkerOptions(db.settings.limits, **options))


def test_images_are_enqueued_once_and_worked_once(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(3)
    with network() as batches:
        assert queued(db.enqueue(folder, **recipe)) == (3, 0, 0, 0)
        assert queued(db.enqueue(folder)) == (0, 3, 0, 0)
    assert not batches
    assert entries(db) == ["0000.jpg", "0001.jpg", "0002.jpg"]
    assert counts(work(db)) == (3, 0, 0, 0)
    assert entries(db) == []
    # What the workers stored is what an ingest would have stored.
    assert counts(db.ingest(folder)) == (0, 0, 3, 0)
    assert queued(db.enqueue(folder)) == (0, 0, 3, 0)


def test_a_shard_is_one_entry_and_keeps_its_metadata(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    first = shard(tmp_path / "s-00.tar", make_photos(3))
    second = shard(tmp_path / "s-01.tar.gz", make_photos(2, "second", seed=1))
    assert queued(db.enqueue(tmp_path / "s-{00..00}.tar", second, **recipe)) == (2, 0, 0, 0)
    assert entries(db) == ["s-00.tar", "s-01.tar.gz"]
    assert counts(work(db)) == (5, 0, 0, 0)
    assert entries(db) == []
    assert stored(db)[f"{first}/0001.jpg"] == {"kind": "0001"}
    # Shards of which all is stored are not enqueued again; of others only what is missing is read.
    assert queued(db.enqueue(first, second)) == (0, 0, 5, 0)
    db.delete(f"{first}/0001.jpg")
    assert queued(db.enqueue(first, second)) == (1, 0, 2, 0)
    with network() as batches:
        assert counts(work(db)) == (0, 1, 2, 0)
    assert not batches


def test_two_collections_and_a_table_share_the_workers(
    db: Database, recipe: Recipe, make_photos: Make, shop: Path
) -> None:
    folder = make_photos(2, "other", seed=7)
    db.enqueue(folder, collection="one", **recipe)
    db.enqueue(folder, collection="two", **recipe)
    # The same bytes are computed once, whatever the collection.
    assert counts(work(db)) == (6 + 2, 2, 0, 0)
    assert {c.collection: c.embedded for c in db.tables.coverage()} == {
        "one": 2,
        "two": 2,
        "products": 6,
    }


def test_a_file_that_no_worker_sees_is_a_failure_that_names_the_worker(
    db: Database, recipe: Recipe, make_photos: Make, spocdb: Run
) -> None:
    folder = make_photos(2)
    db.enqueue(folder, **recipe)
    (folder / "0001.jpg").unlink()
    # Three tries, which other workers may make; here without a pause between them.
    assert counts(work(db, backoff=0.0)) == (1, 0, 0, 1)
    (failure,) = db.failures()
    assert failure.message == (
        "cannot read the file: No such file or directory"
        f" (by the worker on {gethostname()}: workers need it under the same path)"
    )
    assert entries(db) == []
    assert queued(db.enqueue(folder.parent / "photos")) == (0, 0, 1, 0)
    make_photos(2)
    assert spocdb("retry").stdout == "1 row waits again\n"
    assert counts(work(db)) == (1, 0, 0, 0)
    assert not list(db.failures())


def test_a_broken_shard_is_a_failure_and_its_whole_images_are_stored(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    whole = shard(tmp_path / "s.tar", make_photos(4))
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    db.enqueue(whole, **recipe)
    progress = work(db)
    assert progress.n_new > 0
    assert entries(db) == []
    assert [f.path for f in db.failures() if "fetch it again" in f.message] == [str(whole)]
    # It failed in this version: `retry` would bring it back.
    assert queued(db.enqueue(whole)) == (0, 0, 0, 1)
    whole.write_bytes(data)
    db.enqueue(whole)
    work(db)
    assert len(stored(db)) == 4
    assert not list(db.failures())


def test_a_changed_file_ends_the_lease_of_its_earlier_version(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(1)
    db.enqueue(folder, **recipe)
    db.connection.execute(
        "UPDATE spocdb.queue SET lease = gen_random_uuid(), due_at = now() + '1 hour'"
    )
    assert queued(db.enqueue(folder)) == (0, 1, 0, 0)
    assert work(db).n_seen == 0
    make_photos(1, seed=5)
    assert queued(db.enqueue(folder)) == (1, 0, 0, 0)
    assert counts(work(db)) == (1, 0, 0, 0)


def test_sql_enqueues_a_name_without_its_version(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    folder, first = make_photos(2), make_photos(1, "first", seed=3)
    packed = shard(tmp_path / "s.tar", folder)
    db.ingest(first, **recipe)
    names = [f"{folder}/0000.jpg", str(packed)]
    ((n_rows,),) = db.connection.execute("SELECT spocdb.enqueue('photos', %s)", [names])
    assert n_rows == 2
    assert counts(work(db)) == (2, 1, 0, 0)
    assert entries(db) == []
    # The worker found the version out.
    assert counts(db.ingest(folder / "0000.jpg")) == (0, 0, 1, 0)


def test_what_cannot_be_enqueued_is_refused(
    db: Database, recipe: Recipe, make_photos: Make, shop: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="products is of the rows of products"):
        db.enqueue(shop, collection="products")
    with pytest.raises(ConfigError, match="there are no images"):
        db.enqueue(tmp_path / "photos" / "..", collection="new", recursive=False, **recipe)
    with pytest.raises(ConfigError, match="no such file"):
        db.enqueue(tmp_path / "missing.tar", **recipe)
    with pytest.raises(CollectionNotFound):
        db.tables.work("missing", once=True)
    with pytest.raises(psycopg.errors.WrongObjectType):
        db.connection.execute("SELECT spocdb.enqueue('products', '{a}')")
    db.ingest(shop, **recipe)
    for name in ("", "x" * 2001, None):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            db.connection.execute("SELECT spocdb.enqueue('photos', %s)", [[name]])


def test_a_name_that_cannot_be_stored_fails_at_once(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    make_photos(1)
    list_ = tmp_path / "list.txt"
    list_.write_text(f"{tmp_path}/photos/0000.jpg\nhttps://user:secret@example.org/a.jpg\n")
    assert queued(db.enqueue(names_from=list_, **recipe)) == (1, 0, 0, 1)
    (failure,) = db.failures()
    assert "secret" not in failure.path + failure.message


@pytest.mark.parametrize(
    "option", ["--prune", "--strict", "--exif", "--retry-failed", "--auto-pca=5", "--no-moves"]
)
def test_options_without_a_meaning_for_the_queue_are_refused(
    spocdb: Run, make_photos: Make, option: str
) -> None:
    ran = spocdb("ingest", make_photos(1), "--enqueue", option)
    assert ran.returncode == 2
    assert "--enqueue" in ran.stderr


def test_the_program_enqueues_works_and_shows_what_is_left(
    spocdb: Run, db: Database, make_photos: Make
) -> None:
    folder = make_photos(3)
    ran = spocdb("ingest", folder, "--enqueue", "--extractor=mini", "--size=64")
    assert (ran.stdout, ran.stderr) == ("", "3 images: 3 queued\n")
    ran = spocdb("worker", "--once")
    assert "working on photos (references)" in ran.stderr
    assert "photos: 3 new" in ran.stderr
    db.connection.execute(
        "SELECT spocdb.enqueue('photos', array_agg('https://example.org/' || n))"
        " FROM generate_series(1, 30) n"
    )
    shown = spocdb("status").stdout
    header, row = (line.split() for line in shown.splitlines())
    assert header[-3:] == ["pending", "images/s", "left"]
    assert row[:8] == ["photos", "1*", "files", "33", "3", "30", "0", "0"]
    assert float(row[-2]) > 0
    assert len(row[-1].split(":")) == 3
