"""An image that kills the process ends an ingest once: the next one finds it and leaves it out."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.fixtures.opened import Database
from tests.fixtures.program import Start

pytestmark = pytest.mark.slow

# What decoding the large picture takes is more, what a process takes without it is less.
MOST_MEGABYTES = 450


def anonymous_megabytes(pid: int) -> int:
    """Return what a process has allocated; its libraries do not count."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) // 1024
    return 0


def with_children(pid: int) -> list[int]:
    """Return a process and those that it started."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [pid, *children]


@contextmanager
def out_of_memory_killer(pid: int) -> Iterator[list[int]]:
    """Kill what takes too much memory, as Linux does in a container; list it."""
    killed: list[int] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            for process in with_children(pid):
                if anonymous_megabytes(process) > MOST_MEGABYTES and process not in killed:
                    killed.append(process)
                    os.kill(process, signal.SIGKILL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        is_over.set()
        watcher.join()


@pytest.fixture
def ingest(
    db: Database, start_spocdb: Start, recipe: dict[str, Any]
) -> Callable[..., tuple[int, list[str], bool]]:
    """Return a function that ingests where memory is short.

    It returns the exit code, what was said, and whether the program itself was killed.
    """
    options = [f"--{name}={value}" for name, value in recipe.items()]

    def run(folder: Path, *more: str) -> tuple[int, list[str], bool]:
        process = start_spocdb(
            "ingest", folder, "--auto-pca=0", *options, *more, SPOCDB_DATABASE_URL=db.url
        )
        with out_of_memory_killer(process.pid) as killed:
            _, said = process.communicate(timeout=120)
        return process.wait(), said.splitlines(), process.pid in killed

    return run


def test_the_image_is_found_named_and_left_out_from_then_on(
    db: Database,
    make_photos: Callable[..., Path],
    ingest: Callable[..., tuple[int, list[str], bool]],
) -> None:
    folder = make_photos(12)
    large = Image.new("RGBA", (7000, 6000), "teal")
    large.save(folder / "0005b.png", compress_level=1)
    code, said, is_killed = ingest(folder)
    assert (code, is_killed) == (-signal.SIGKILL, True), said

    code, said, is_killed = ingest(folder)
    assert (code, is_killed) == (3, False), said
    assert said[0].startswith("an earlier run was killed: images are decoded in a separate process")
    (failure,) = db.failures("photos")
    assert failure.path == str(folder / "0005b.png")
    assert failure.reason == "ProcessLost"
    assert failure.message.startswith("decoding it ended a process (Killed): it is left out")
    assert db.collections()[0].n_images == 12

    # Unchanged it is not tried again.
    done = db.ingest(folder, auto_pca=0)
    assert (done.n_failed, done.n_unchanged, done.n_new) == (1, 12, 0)

    # Tried again on request, it takes nothing along.
    code, said, is_killed = ingest(folder, "--retry-failed")
    assert (code, is_killed) == (3, False), said
    assert [f.reason for f in db.failures("photos")] == ["ProcessLost"]

    # Where there is memory, it is an image like any other.
    assert db.ingest(folder, retry_failed=True).n_new == 1
    assert list(db.failures("photos")) == []
