"""Ingests of Azure's and Google's storage, from servers that speak their protocols."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from spocdb.sources import stores
from tests.fixtures.archived import packed, shard
from tests.fixtures.clouds import Cloud, refused
from tests.fixtures.ingested import counts, network
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

# Azure's server is installed by npm.
pytestmark = pytest.mark.slow

Make = Callable[..., Path]
Recipe = dict[str, Any]


def stored(db: Database) -> dict[str, dict[str, Any]]:
    return {image.path: image.metadata for image in db.images(collection="photos")}


def test_a_prefix_is_ingested_once_with_metadata(
    db: Database, recipe: Recipe, make_photos: Make, cloud: Cloud, tmp_path: Path
) -> None:
    photos = make_photos(4)
    uris = [cloud.put(photo.name, photo.read_bytes()) for photo in sorted(photos.iterdir())]
    uris.append(cloud.put("deep/ä b.jpg", (photos / "0000.jpg").read_bytes()))
    cloud.put("notes.md", b"text")
    rows = tmp_path / "rows.csv"
    rows.write_text(f"path,year\n{uris[0]},1999\n{uris[4]},2000\n")
    progress = db.ingest(cloud.uri, metadata=rows, **recipe)
    assert counts(progress) == (4, 1, 0, 0) and dict(progress.left_out) == {".md": 1}
    assert stored(db) == {uri: {} for uri in uris} | {
        uris[0]: {"year": 1999},
        uris[4]: {"year": 2000},
    }
    for image in db.images():
        name = "0000.jpg" if "deep" in image.path else Path(image.path).name
        assert db.read(image.id) == (photos / name).read_bytes()
    assert db.search(photos / "0001.jpg", k=1)[0].path == uris[1]
    cloud.proxy.asked.clear()
    with network() as batches:
        assert counts(db.ingest(cloud.uri)) == (0, 0, 5, 0)
    assert not batches and cloud.proxy.asked and not cloud.n_read()
    # What an answer about one object says is the version of the listing.
    (tmp_path / "names").write_text("\n".join(uris))
    assert counts(db.ingest(names_from=tmp_path / "names")) == (0, 0, 5, 0)


def test_changed_objects_are_read_and_gone_ones_are_pruned(
    db: Database, recipe: Recipe, make_photos: Make, cloud: Cloud
) -> None:
    photos, others = make_photos(3), make_photos(1, "others", seed=1)
    uris = [cloud.put(photo.name, photo.read_bytes()) for photo in sorted(photos.iterdir())]
    db.ingest(cloud.uri, **recipe)
    cloud.put("0001.jpg", (others / "0000.jpg").read_bytes())
    cloud.delete("0002.jpg")
    progress = db.ingest(cloud.uri, prune=True)
    assert (counts(progress), progress.n_pruned) == ((1, 0, 1, 0), 1)
    assert sorted(stored(db)) == uris[:2]


def test_archives_and_parquet_files_are_read_where_they_are(
    db: Database, recipe: Recipe, make_photos: Make, cloud: Cloud, tmp_path: Path
) -> None:
    photos = make_photos(4)
    names = sorted(photo.name for photo in photos.iterdir())
    files = (
        shard(tmp_path / "a.tar", photos, names[:2]),
        packed(tmp_path / "b.parquet", photos, names[2:]),
    )
    uris = [cloud.put(file.name, file.read_bytes()) for file in files]
    assert counts(db.ingest(*uris, **recipe)) == (4, 0, 0, 0)
    assert {said["kind"] for said in stored(db).values()} == {Path(name).stem for name in names}
    # Versions of answers and of questions agree.
    assert counts(db.ingest(*uris)) == (0, 0, 4, 0)


def test_an_object_that_vanishes_after_it_was_listed_is_a_failure(
    db: Database, recipe: Recipe, make_photos: Make, cloud: Cloud
) -> None:
    for photo in make_photos(2).iterdir():
        cloud.put(photo.name, photo.read_bytes())

    def vanishing(path: str) -> None:
        if "0001" in path and "prefix=" not in path:
            cloud.delete("0001.jpg")

    cloud.proxy.fault = vanishing
    assert counts(db.ingest(cloud.uri, **recipe)) == (1, 0, 0, 1)
    (failure,) = db.failures()
    assert failure.message == "cannot get the object: there is no such object"


def test_credentials_that_do_not_work_are_one_line(
    cloud: Cloud, environment: dict[str, str], spocdb: Run
) -> None:
    cloud.put("a.jpg", b"bytes")
    for said, settings in refused(cloud.service.scheme).items():
        before = dict(environment)
        environment.update(settings)
        ran = spocdb("ingest", cloud.uri)
        assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
        assert said in ran.stderr and "hunter2" not in ran.stderr
        environment.clear()
        environment.update(before)
    cloud.proxy.fault = lambda path: 403
    ran = spocdb("ingest", cloud.uri)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert f"cannot list {cloud.uri}: access is denied (HTTP 403" in ran.stderr


def test_a_vanished_bucket_is_one_line_and_nothing_is_pruned(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "RETRIES", 0)
    service, name = cloud.service, f"leaving-{cloud.prefix}"
    service.make(name)
    service.put(name, "in/0000.jpg", (make_photos(1) / "0000.jpg").read_bytes())
    uri = f"{service.scheme}://{name}/in"
    assert counts(db.ingest(uri, **recipe)) == (1, 0, 0, 0)
    service.drop(name)
    # Google's server answers 500, where Google would say that there is no such bucket.
    why = "HTTP 500" if service.scheme == "gs" else "there is no such bucket"
    for prune in (False, True):
        with pytest.raises(ConfigError, match=f"cannot list {uri}: {why}$"):
            db.ingest(uri, prune=prune, prune_gone=prune)
    assert len(stored(db)) == 1
