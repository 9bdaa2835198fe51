"""`--prune` deletes the images of deleted files, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from tests.fixtures.ingested import rows
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Options = dict[str, Any]


def test_prune_deletes_the_images_of_deleted_files_only(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder, other = make_photos(4), make_photos(2, "photos2", seed=1)
    db.ingest(folder, other, **recipe)
    for file in (folder / "0001.jpg", folder / "0002.jpg", other / "0000.jpg"):
        file.unlink()
    progress = db.ingest(folder, prune=True)
    assert (progress.n_pruned, progress.n_unchanged) == (2, 2)
    paths = {hit.path for hit in db.search(folder / "0000.jpg", k=9)}
    assert paths == {
        *(str(folder / f"{n}.jpg") for n in ("0000", "0003")),
        # Of another folder, whose name begins with the same letters; its file is gone.
        *(str(other / f"{n}.jpg") for n in ("0000", "0001")),
    }


def test_nothing_is_deleted_without_prune(db: Database, recipe: Options, make_photos: Make) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    (folder / "0000.jpg").unlink()
    assert db.ingest(folder).n_pruned == 0
    assert len(rows(db)) == 2


def test_prune_refuses_a_folder_without_any_image(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    # An unmounted disk looks like this.
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match=r"nothing pruned: .* holds no image any more"):
        db.ingest(folder, prune=True)
    assert len(rows(db)) == 2


def test_prune_without_recursion_spares_what_lies_below(
    db: Database, recipe: Options, make_photos: Make
) -> None:
    folder = make_photos(2)
    make_photos(1, "photos/below", seed=1)
    db.ingest(folder, **recipe)
    (folder / "0000.jpg").unlink()
    assert db.ingest(folder, recursive=False, prune=True).n_pruned == 1
    assert len(rows(db)) == 2
