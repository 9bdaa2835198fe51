"""A path or time that the database cannot store is a failure of that file alone."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from spocdb.settings import from_environment
from spocdb.text import LONGEST_KEY
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Recipe = dict[str, Any]


@pytest.fixture
def deep(make_photos: Make, tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that stores a photo under a path of this many bytes."""
    photo = make_photos(1, "one", seed=7) / "0000.jpg"

    def make(n_bytes: int) -> Path:
        # Random letters: PostgreSQL would compress repeated ones, and a too long path would fit.
        rest, folder = n_bytes - len(os.fsencode(tmp_path)) - len("/x.jpg"), tmp_path
        letters = "".join(chr(33 + i * i * 31 % 89).replace("/", "_") for i in range(n_bytes))
        while rest > 0:
            n = min(201, rest)
            # A name of its own, without the slash.
            n += rest - n == 1
            folder = folder / letters[rest - n : rest - 1].replace(".", "_")
            rest -= n
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x.jpg").write_bytes(photo.read_bytes())
        assert len(os.fsencode(folder / "x.jpg")) == n_bytes
        return folder / "x.jpg"

    yield make


def test_paths_that_no_index_holds_are_failures_and_the_others_go_on(
    db: Database, recipe: Recipe, make_photos: Make, deep: Callable[[int], Path]
) -> None:
    folder = make_photos(3)
    long = [deep(2700), deep(3400)]
    longest = deep(LONGEST_KEY)
    progress = db.ingest(folder, longest, *long, **recipe)
    assert (progress.n_stored, progress.n_failed) == (4, 2)
    assert db.search(longest, k=1)[0].path == str(longest)
    failures = {f.path: f for f in db.failures()}
    assert {f.message for f in failures.values()} == {
        "the path has 2,700 bytes, of at most 2,000: shorten it",
        "the path has 3,400 bytes, of at most 2,000: shorten it",
    }
    assert {path[:200] for path in failures} == {str(path)[:200] for path in long}
    # All are recognised by their stored names, and none is pruned as gone.
    again = db.ingest(folder, longest, *long, prune=True)
    assert (again.n_unchanged, again.n_failed, again.n_pruned) == (4, 2, 0)
    assert db.ingest(retry_failed=True).n_seen == 0
    assert len([*db.failures()]) == 2


def test_a_time_beyond_the_database_is_no_reason_to_fail(
    db: Database, recipe: Recipe, make_photos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_photos(2)
    os.utime(folder / "0000.jpg", ns=(-1, -(10**18)))
    late = 10**9 * 884_541_351_600
    true_stat = os.stat

    class Late:
        """The status of a file of the year 30000; few file systems can hold one."""

        def __init__(self, found: os.stat_result) -> None:
            self.st_size, self.st_mode = found.st_size, found.st_mode
            self.st_dev, self.st_ino, self.st_mtime_ns = found.st_dev, found.st_ino, late

    def stat(path: Any, **options: Any) -> Any:
        found = true_stat(path, **options)
        return Late(found) if str(path).endswith("0001.jpg") else found

    monkeypatch.setattr(os, "stat", stat)
    assert db.ingest(folder, **recipe).n_new == 2
    assert db.ingest(folder).n_unchanged == 2


def test_more_pixels_than_the_database_counts_are_no_limit_that_can_be_set() -> None:
    assert from_environment(None, {"SPOCDB_MAX_PIXELS": str(2**31 - 1)}).max_pixels == 2**31 - 1
    with pytest.raises(ConfigError, match=r"SPOCDB_MAX_PIXELS must be .* at most 2147483647"):
        from_environment(None, {"SPOCDB_MAX_PIXELS": str(2**31)})
