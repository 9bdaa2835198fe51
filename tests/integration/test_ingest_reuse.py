"""Unchanged files are not read, equal contents are computed once, changed files are replaced."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.ingested import counts, network, rows
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Options = dict[str, Any]


def overwrite_unseen(file: Path, content: bytes) -> None:
    """Change a file's bytes but neither its size nor its time."""
    before = file.stat()
    file.write_bytes(content[: before.st_size].ljust(before.st_size, b"\0"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_unchanged_files_are_not_even_read(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(3)
    db.ingest(folder, **recipe)
    before = rows(db)
    for file in folder.iterdir():
        overwrite_unseen(file, b"not an image")
    assert counts(db.ingest(folder, **recipe)) == (0, 0, 3, 0)
    assert list(db.failures()) == []
    assert {name: row[:2] for name, row in rows(db).items()} == {
        name: row[:2] for name, row in before.items()
    }


def test_only_a_new_image_needs_the_network_s_weights(
    db: Database, random_recipe: Options, make_photos: Make, tmp_path: Path
) -> None:
    weights = tmp_path / "copy.pth"
    weights.write_bytes(random_recipe["weights"].read_bytes())
    folder = make_photos(3)
    db.ingest(folder, **random_recipe | {"weights": weights})
    weights.unlink()
    name = db.extractors()[0].name
    with Database(db.settings) as other:
        assert counts(other.ingest(folder)) == (0, 0, 3, 0)
        assert counts(other.ingest(folder, collection="other", extractor=name)) == (0, 3, 0, 0)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_same_bytes_enter_the_network_once(
    db: Database, recipe: Options, make_photos: Make, batch_size: int
) -> None:
    folder = make_photos(7)
    for original in list(folder.iterdir()):
        # One copy next to the original, in the same batch or the next, and one much later.
        for name in (f"{original.stem}b.jpg", f"later-{original.name}"):
            (folder / name).write_bytes(original.read_bytes())
    with network() as sizes:
        progress = db.ingest(folder, batch_size=batch_size, precision="float32", **recipe)
    assert counts(progress) == (7, 14, 0, 0)
    assert sum(sizes) == 7
    stored = rows(db)
    assert len(stored) == 21
    for name in ("0003b.jpg", "later-0003.jpg"):
        assert np.array_equal(stored[name][2], stored["0003.jpg"][2])


def test_a_folder_of_one_picture_is_one_descriptor(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(1)
    for i in range(1, 300):
        os.link(folder / "0000.jpg", folder / f"{i:04d}.jpg")
    with network() as sizes:
        assert counts(db.ingest(folder, precision="float32", **recipe)) == (1, 299, 0, 0)
    assert sizes == [1]
    assert len(rows(db)) == 300


def test_the_same_bytes_in_another_collection_enter_no_network(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(5)
    db.ingest(folder, **recipe)
    with network() as sizes:
        assert counts(db.ingest(folder, collection="other", **recipe)) == (0, 5, 0, 0)
    assert sizes == []
    for name, (_, sha256, embedding) in rows(db, "other").items():
        assert sha256 == rows(db)[name][1]
        assert np.array_equal(embedding, rows(db)[name][2])


def test_another_extractor_computes_its_own(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    assert counts(db.ingest(folder, collection="max", pooling="max", **recipe)) == (2, 0, 0, 0)
    assert rows(db)["0000.jpg"][2] @ rows(db, "max")["0000.jpg"][2] < 0.9999


def test_a_changed_file_is_replaced_under_its_id_and_keeps_its_metadata(
    db: Database, recipe: Options, make_photos: Make, tmp_path: Path
) -> None:
    folder = make_photos(3)
    (tmp_path / "about.csv").write_text("path,year\nphotos/0001.jpg,1999\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    before = rows(db)
    other = make_photos(1, "other", seed=1) / "0000.jpg"
    (folder / "0001.jpg").write_bytes(other.read_bytes())
    assert counts(db.ingest(folder)) == (1, 0, 2, 0)
    after = rows(db)
    assert {name: row[0] for name, row in after.items()} == {n: r[0] for n, r in before.items()}
    assert after["0001.jpg"][1] == hashlib.sha256(other.read_bytes()).digest()
    (hit,) = db.search(other, k=1)
    assert (hit.path, hit.metadata) == (str(folder / "0001.jpg"), {"year": 1999})
    assert hit.distance < 1e-3
    assert np.array_equal(after["0002.jpg"][2], before["0002.jpg"][2])


def test_a_touched_file_is_read_but_enters_no_network(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    os.utime(folder / "0000.jpg", ns=(1, 1))
    assert counts(db.ingest(folder)) == (0, 1, 1, 0)
    assert counts(db.ingest(folder)) == (0, 0, 2, 0)
