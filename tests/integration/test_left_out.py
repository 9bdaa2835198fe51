"""An ingest reports the files that it leaves out; a wrong path creates nothing."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spocdb.db import collections
from spocdb.errors import ConfigError
from spocdb.images import declarations
from spocdb.pruning import prune
from spocdb.sources.files import FilesSource
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Recipe = dict[str, Any]
Invoke = Callable[..., "Ran"]


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def invoke(
    db: Database, app: Any, environment: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> Invoke:
    """Return a function that runs a command on the test's database, in this process."""

    def run(*arguments: object, input: str | None = None) -> Ran:
        runner = CliRunner(env=environment | {"SPOCDB_DATABASE_URL": db.url})
        ran = runner.invoke(app, [str(argument) for argument in arguments], input=input)
        # An ingest silences libraries by redirecting stderr, and writes to a copy of it.
        return Ran(ran.exit_code, ran.stdout, ran.stderr + capfd.readouterr().err)

    return run


@pytest.fixture
def mixed(make_photos: Make) -> Path:
    """Return a folder of three photos, one without an extension, and other files."""
    folder = make_photos(3)
    (folder / "0002.jpg").rename(folder / "scan")
    for name in ("a.psd", "b.PSD", "c.mp3", ".hidden", "notes.txt"):
        (folder / name).write_bytes(b"anything")
    return folder


def test_an_ingest_ends_with_what_it_left_out(
    db: Database, recipe: Recipe, mixed: Path, invoke: Invoke
) -> None:
    progress = db.ingest(mixed, **recipe)
    assert progress.n_new == 2
    assert progress.left_out == {
        ".psd": 2,
        ".mp3": 1,
        ".txt": 1,
        "hidden": 1,
        "file without an extension": 1,
    }
    ((summary,),) = db.connection.execute("SELECT summary FROM spocdb.runs").fetchall()
    assert summary["left_out"] == dict(progress.left_out)
    lines = invoke("ingest", mixed).stderr.splitlines()
    assert lines == [
        "2 images: 2 unchanged",
        "left out: 2 .psd, 1 .mp3, 1 .txt, "
        "1 file without an extension (--all-files looks into them), 1 hidden",
    ]


def test_an_ingest_ends_with_what_would_read_the_files_it_left_out(
    mixed: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declarations, "is_installed", lambda package: False)
    for name in ("a.cr3", "b.CR3", "c.mov"):
        (mixed / name).write_bytes(b"anything")
    for more in ((), ("--dry-run",)):
        ran = invoke("ingest", mixed, "--extractor=mini", "--size=64", *more)
        assert (
            "2 .cr3 (pip install 'spocdb[raw]'), 1 .mov (pip install 'spocdb[video]'), 2 .psd, "
        ) in ran.stderr + ran.stdout
        ran = invoke("ingest", mixed, "--json", *more)
        said = json.loads(ran.stdout)
        assert said["left_out"][".cr3"] == 2
        assert said["install"] == {
            ".cr3": "pip install 'spocdb[raw]'",
            ".mov": "pip install 'spocdb[video]'",
        }


def test_all_files_and_linked_folders_are_taken_on_demand(
    db: Database, recipe: Recipe, mixed: Path, make_photos: Make, invoke: Invoke
) -> None:
    db.ingest(mixed, **recipe)
    other = make_photos(2, "other", seed=1)
    (mixed / "linked").symlink_to(other)
    assert db.ingest(mixed).left_out["linked folder"] == 1
    ran = invoke("ingest", mixed, "--all-files", "--follow-links", "--json")
    assert ran.exit_code == 0, ran.stderr
    paths = {path for (path,) in db.connection.execute("SELECT path FROM spocdb.photos")}
    assert {str(mixed / name) for name in ("scan", "linked/0000.jpg", "linked/0001.jpg")} <= paths
    assert len(paths) == 5
    # Images stay while their files are only left out, and are pruned with their files.
    assert db.ingest(mixed, prune=True).n_pruned == 0
    (mixed / "linked").unlink()
    assert db.ingest(mixed, prune=True).n_pruned == 2


def test_a_picture_without_an_extension_is_taken_where_it_is_named(
    db: Database, recipe: Recipe, mixed: Path
) -> None:
    assert db.ingest(mixed / "scan", **recipe).n_new == 1


def test_what_is_no_image_leaves_no_empty_collection(
    db: Database, recipe: Recipe, mixed: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "photos.7z"
    archive.write_bytes(b"7z")
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as opened:
        opened.write(mixed / "notes.txt", "notes.md")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"under .*7z: left out 1 .7z \(unpack fi"):
        db.ingest(archive, **recipe)
    with pytest.raises(ConfigError, match=r"no images under .*texts.zip: left out 1 .md$"):
        db.ingest(tmp_path / "texts.zip", **recipe)
    with pytest.raises(ConfigError, match=r"no images under .*: left out 1 .txt$"):
        db.ingest(mixed / "notes.txt", **recipe)
    with pytest.raises(ConfigError, match=r"there are no images under [^:]*empty$"):
        db.ingest(tmp_path / "empty", **recipe)
    with pytest.raises(ConfigError, match="there are no images under"):
        db.ingest(tmp_path / "pipe", **recipe)
    assert db.collections() == []
    # Together with an image, it is a failure.
    assert db.ingest(archive, mixed, **recipe).n_failed == 1
    assert [Path(f.path).name for f in db.failures()] == ["photos.7z"]


@pytest.fixture
def roots(db: Database, recipe: Recipe, make_photos: Make) -> tuple[Path, Path]:
    """Return two ingested folders, of three photos and of two."""
    first, second = make_photos(3), make_photos(2, "second", seed=1)
    db.ingest(first, second, **recipe)
    return first, second


@pytest.mark.parametrize("is_there", [False, True])
def test_pruning_a_root_that_is_gone_or_empty_asks(
    db: Database, roots: tuple[Path, Path], invoke: Invoke, is_there: bool
) -> None:
    first, second = roots
    shutil.rmtree(first)
    if is_there:
        first.mkdir()
    what = "holds no image any more" if is_there else "is gone"
    (gone,) = db.gone(first, second)
    assert (str(gone), gone.n_images) == (f"{first} {what}", 3)
    # Images of the other root do not matter: an unmounted disk looks like this.
    with pytest.raises(
        ConfigError, match=f"nothing pruned: {first} {what}: .*its 3 images by `prune="
    ):
        db.ingest(first, second, prune=True)
    ran = invoke("ingest", first, second, "--prune")
    assert (ran.exit_code, db.collections()[0].n_images) == (1, 5)
    ran = invoke("ingest", first, second, "--prune", "--dry-run")
    assert ran.stdout == (
        "would read 0 files of 2, 2 unchanged, 0 failed before\n"
        "would delete 3 images whose file is gone\n"
    )
    assert db.collections()[0].n_images == 5
    ran = invoke("ingest", first, second, "--prune", "--yes")
    assert ran.exit_code == 0, ran.stderr
    assert "2 images: 2 unchanged, 3 pruned" in ran.stderr
    assert db.collections()[0].n_images == 2


@pytest.mark.parametrize(("answer", "n_left", "code"), [("y", 2, 0), ("n", 5, 1)])
def test_on_a_terminal_the_person_is_asked_before_anything_is_done(
    db: Database,
    roots: tuple[Path, Path],
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    n_left: int,
    code: int,
) -> None:
    shutil.rmtree(roots[0])
    monkeypatch.setattr(import_module("spocdb.cli.ingest"), "is_interactive", lambda: True)
    ran = invoke("ingest", roots[0], "--prune", input=f"{answer}\n")
    assert ran.exit_code == code, ran.stderr
    assert f"{roots[0]} is gone: forget its 3 images? [y/N] " in ran.stderr
    assert db.collections()[0].n_images == n_left


def test_a_root_that_never_was_is_still_no_such_file(
    db: Database, roots: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no such file or folder: .*nowhere"):
        db.ingest(tmp_path / "nowhere", prune=True, prune_gone=True)


def test_pruning_the_root_of_all_files_finds_what_is_gone(
    db: Database, roots: tuple[Path, Path]
) -> None:
    (roots[0] / "0000.jpg").unlink()
    target = collections.get(db.connection, "photos")
    assert prune(db.connection, target, FilesSource(["/"]), dry_run=True) == 1


def test_a_dry_run_counts_and_changes_nothing(
    db: Database, recipe: Recipe, roots: tuple[Path, Path], invoke: Invoke, make_photos: Make
) -> None:
    first, _ = roots
    (first / "bad.jpg").write_bytes(b"bad")
    db.ingest(first)
    shutil.copy(first / "0000.jpg", first / "new.jpg")
    (first / "0001.jpg").unlink()
    (first / "x.zip").touch()
    before = db.connection.execute("SELECT count(*), max(id) FROM spocdb.runs").fetchone()
    ran = invoke("ingest", first, "--prune", "--dry-run")
    assert ran.stdout.splitlines() == [
        "would read 1 file of 4, 2 unchanged, 1 failed before",
        "would delete 1 image whose file is gone, if it was not moved",
        "would leave out 1 .zip (name it to read it)",
    ]
    ran = invoke("ingest", make_photos(4, "fourth"), "-c", "new", "--dry-run")
    assert ran.stdout.startswith("would read 4 files of 4, ")
    assert db.connection.execute("SELECT count(*), max(id) FROM spocdb.runs").fetchone() == before
    assert [(c.name, c.n_images) for c in db.collections()] == [("photos", 5)]
