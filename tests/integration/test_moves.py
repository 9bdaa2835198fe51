"""A moved file stays the same image: it is found by its bytes, and keeps id and metadata."""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.db import connections, writing
from spocdb.db.moves import Moves
from spocdb.errors import DatabaseError
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Recipe = dict[str, Any]


def stored(db: Database) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return {path: (id, metadata)}."""
    rows = db.connection.execute("SELECT path, id, metadata FROM spocdb.photos")
    return {path: (id_, metadata) for path, id_, metadata in rows}


def embeddings(db: Database) -> dict[int, str]:
    rows = db.connection.execute("SELECT image_id, embedding::text FROM spocdb.embeddings_1_1")
    return dict(rows.fetchall())


@pytest.fixture
def folder(db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path) -> Path:
    """Return an ingested folder of six photos, which have metadata."""
    folder = make_photos(6)
    rows = "\n".join(f"photos/{n:04d}.jpg,{n}" for n in range(6))
    (tmp_path / "about.csv").write_text(f"path,number\n{rows}\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    return folder


def test_the_images_of_a_moved_folder_keep_id_metadata_and_embedding(
    db: Database, folder: Path, tmp_path: Path
) -> None:
    before, rows = stored(db), embeddings(db)
    transactions = "SELECT array_agg(xmin::text ORDER BY image_id) FROM spocdb.embeddings_1_1"
    written = db.connection.execute(transactions).fetchone()
    there = folder.rename(tmp_path / "elsewhere")
    progress = db.ingest(there)
    assert (progress.n_new, progress.n_moved, progress.n_failed) == (0, 6, 0)
    assert stored(db) == {
        path.replace("/photos/", "/elsewhere/"): row for path, row in before.items()
    }
    assert embeddings(db) == rows
    # Embeddings are not written again, so their index does not change.
    assert db.connection.execute(transactions).fetchone() == written
    again = db.ingest(there, prune=True)
    assert (again.n_unchanged, again.n_pruned, again.n_moved) == (6, 0, 0)


def test_a_copy_is_an_image_of_its_own(db: Database, folder: Path, tmp_path: Path) -> None:
    before = stored(db)
    there = Path(shutil.copytree(folder, tmp_path / "copy"))
    progress = db.ingest(there)
    assert (progress.n_reused, progress.n_moved) == (6, 0)
    assert {path: row for path, row in stored(db).items() if path in before} == before
    assert len(stored(db)) == 12


def test_moves_can_be_left_alone(db: Database, folder: Path, tmp_path: Path) -> None:
    progress = db.ingest(folder.rename(tmp_path / "elsewhere"), moves=False)
    assert (progress.n_reused, progress.n_moved) == (6, 0)
    assert len(stored(db)) == 12


def test_of_copies_each_moves_once_and_those_of_the_same_name_to_each_other(
    db: Database, folder: Path, tmp_path: Path, recipe: Recipe
) -> None:
    for name in ("b.jpg", "c.jpg"):
        shutil.copy(folder / "0000.jpg", folder / name)
    db.ingest(folder)
    ids = {Path(path).name: id_ for path, (id_, _) in stored(db).items()}
    there = tmp_path / "elsewhere"
    there.mkdir()
    # Two of three copies go, one of them to another name; a fourth copy is new.
    (folder / "0000.jpg").rename(there / "renamed.jpg")
    (folder / "c.jpg").rename(there / "c.jpg")
    shutil.copy(folder / "b.jpg", there / "z.jpg")
    progress = db.ingest(there, batch_size=1)
    assert (progress.n_reused, progress.n_moved) == (3, 2)
    after = {path: id_ for path, (id_, _) in stored(db).items()}
    assert after[str(there / "c.jpg")] == ids["c.jpg"]
    assert after[str(there / "renamed.jpg")] == ids["0000.jpg"]
    assert after[str(folder / "b.jpg")] == ids["b.jpg"]
    assert after[str(there / "z.jpg")] not in ids.values()
    assert len(after) == 9


def test_a_moved_file_that_failed_once_is_no_failure_any_more(
    db: Database, folder: Path, tmp_path: Path
) -> None:
    good = (folder / "0000.jpg").read_bytes()
    moved = tmp_path / "moved.jpg"
    moved.write_bytes(b"bad")
    assert db.ingest(moved).n_failed == 1
    (folder / "0000.jpg").unlink()
    moved.write_bytes(good)
    assert db.ingest(moved).n_moved == 1
    assert list(db.failures()) == []


def test_a_move_is_of_one_collection(
    db: Database, folder: Path, tmp_path: Path, recipe: Recipe
) -> None:
    progress = db.ingest(folder.rename(tmp_path / "there"), collection="other", **recipe)
    assert (progress.n_reused, progress.n_moved) == (6, 0)


def test_two_ingests_of_a_moved_folder_at_once_move_each_image_once(
    db: Database, folder: Path, tmp_path: Path
) -> None:
    before = stored(db)
    there = folder.rename(tmp_path / "elsewhere")
    moved: list[int] = []

    def ingest() -> None:
        with Database(db.settings) as other:
            moved.append(other.ingest(there, batch_size=1).n_moved)

    threads = [threading.Thread(target=ingest) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moved) == 3 and sum(moved) == 6
    assert stored(db) == {
        path.replace("/photos/", "/elsewhere/"): row for path, row in before.items()
    }


def test_a_path_that_another_program_takes_meanwhile_is_left_to_it(
    db: Database, folder: Path
) -> None:
    (id_,) = [id_ for path, (id_, _) in stored(db).items() if path.endswith("0000.jpg")]
    (sha256,) = db.connection.execute(
        "SELECT sha256 FROM spocdb.images WHERE id = %s", [id_]
    ).fetchone() or [b""]
    with connections.connect(db.url) as other, connections.connect(db.url) as ours:
        writing.make_staging(ours)

        def look_away(path: str) -> bool:
            # Between the look at the disk and the move.
            other.execute(
                "INSERT INTO spocdb.images (collection_id, path, sha256, size, version, width, "
                "height) SELECT collection_id, '/new.jpg', sha256, 1, '', 1, 1 "
                "FROM spocdb.images WHERE id = %s ON CONFLICT DO NOTHING",
                [id_],
            )
            return False

        with ours.transaction():
            ours.execute(
                "INSERT INTO incoming_images (path, sha256) VALUES ('/new.jpg', %s)", [sha256]
            )
            assert Moves(look_away).follow(ours, 1, [sha256]) == set()
    paths = {path for (path,) in db.connection.execute("SELECT path FROM spocdb.images")}
    assert {"/new.jpg", str(folder / "0000.jpg")} <= paths


def test_an_interrupted_move_leaves_each_image_under_one_path(
    db: Database, folder: Path, tmp_path: Path
) -> None:
    before = stored(db)
    there = folder.rename(tmp_path / "elsewhere")
    with psycopg.connect(db.url) as blocker:
        blocker.execute("SELECT FROM spocdb.images WHERE path LIKE '%%0003.jpg' FOR UPDATE", [])
        impatient = make_conninfo(db.url, options="-c lock_timeout=200ms")
        settings = replace(db.settings, database_url=impatient)
        with Database(settings) as other, pytest.raises(DatabaseError, match="used by others"):
            other.ingest(there, batch_size=2)
    with Database(db.settings) as other:
        assert other.ingest(there).n_failed == 0
    assert sorted(stored(db).values(), key=str) == sorted(before.values(), key=str)
    assert all(os.path.exists(path) for path in stored(db))
