"""An image kills the process that decodes it; the next ingest finds it and leaves it out."""

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

# Decoding the large picture takes more than this; a process without it takes less.
MOST_MEGABYTES = 450


def anonymous_megabytes(pid: int) -> int:
    """Return the allocated memory of a process, without its libraries."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) // 1024
    return 0


def with_children(pid: int) -> list[int]:
    """Return the ids of a process and of its children."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [pid, *children]


@contextmanager
def out_of_memory_killer(pid: int) -> Iterator[list[int]]:
    """Kill processes that take too much memory, as Linux does in a container; yield their ids."""
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
    """Return a function that runs an ingest with little memory.

    It returns the exit code, the lines on stderr, and whether the program itself was killed.
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

    # An unchanged file is not tried again.
    done = db.ingest(folder, auto_pca=0)
    assert (done.n_failed, done.n_unchanged, done.n_new) == (1, 12, 0)

    # Tried again on request, it does not kill the program.
    code, said, is_killed = ingest(folder, "--retry-failed")
    assert (code, is_killed) == (3, False), said
    assert [f.reason for f in db.failures("photos")] == ["ProcessLost"]

    # With enough memory it is ingested.
    assert db.ingest(folder, retry_failed=True).n_new == 1
    assert list(db.failures("photos")) == []
