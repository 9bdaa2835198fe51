"""Ingests of formats that extras read: stored with thumbnails, found, each failure by itself."""

from pathlib import Path
from typing import Any

import pytest

from spocdb.images import declarations
from tests.fixtures.formats import each
from tests.fixtures.opened import Database

Recipe = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of the same picture in each format."""
    made = tmp_path / "pictures"
    made.mkdir()
    for name, data in each().items():
        (made / name).write_bytes(data)
    return made


def test_each_format_is_ingested_and_found(db: Database, recipe: Recipe, folder: Path) -> None:
    for name in ("bad.pdf", "bad.nef"):
        (folder / name).write_bytes(b"%PDF-1.4 nothing")
    progress = db.ingest(folder, exif=True, **recipe)
    assert (progress.n_new, progress.n_failed) == (len(each()), 2)
    assert {Path(f.path).name: f.message for f in db.failures()}.keys() == {"bad.pdf", "bad.nef"}
    stored = {Path(image.path).name: image for image in db.images()}
    assert stored.keys() == each().keys()
    assert stored["preview.dng"].metadata["camera"] == "Acme One"
    assert all(db.thumbnail(image.id) for image in stored.values())
    for name in stored:
        hits = db.search(folder / name, k=len(stored))
        assert len(hits) == len(stored) and hits[-1].distance < 0.1


def test_what_is_not_installed_is_left_out_and_read_later(
    db: Database, recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(declarations, "is_installed", lambda package: False)
        progress = db.ingest(folder, **recipe)
        assert (progress.n_new, sum(progress.left_out.values())) == (2, len(each()) - 2)
        # Named, it is a failure, until the file changes or failures are retried.
        assert db.ingest(folder / "a.pdf").n_failed == 1
        (failure,) = db.failures()
        assert failure.message == "PDF, which needs `pip install 'spocdb[pdf]'`"
    assert db.ingest(folder, retry_failed=True).n_new == len(each()) - 2
    assert not list(db.failures())
