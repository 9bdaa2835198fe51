"""A collection on three servers that run: answers as of one, kills, a server that is down."""

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import connections, embedded
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.program import Run, Start
from tests.fixtures.servers import in_memory
from tests.fixtures.sharded import DOUBLED, FAILURES, IMAGES, rows_of
from tests.fixtures.waiting import WaitForLock, WaitUntil

pytestmark = pytest.mark.slow

Make = Callable[..., Path]
Fill = Callable[..., None]

EXTRACTOR = ("--extractor", "mini", "--size", "64")


@pytest.fixture(scope="module")
def folders() -> Iterator[list[Path]]:
    """Start three embedded servers; return their data folders."""
    with ExitStack() as stack:
        made = []
        for _ in range(3):
            temporary = tempfile.TemporaryDirectory(prefix="spocdb-shard-", dir=in_memory())
            made.append(Path(stack.enter_context(temporary)))
            stack.callback(embedded.stop, made[-1])
            embedded.upgraded(made[-1])
        yield made


@pytest.fixture
def three(folders: list[Path], environment: dict[str, str]) -> Iterator[list[Database]]:
    """Return the API on each of the three servers alone; their collection goes afterwards."""
    with ExitStack() as stack:
        opened = []
        for folder in folders:
            settings = from_environment(embedded.start(folder), environment)
            opened.append(stack.enter_context(Database(settings)))
        yield opened
        for one in opened:
            for collection in one.collections():
                one.drop(collection.name)
            one.connection.execute("TRUNCATE spocdb.descriptors")


@pytest.fixture
def on_three(three: list[Database], tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """Return an environment that names the three servers."""
    (tmp_path / "servers").write_text("\n".join(one.url for one in three))
    return environment | {"SPOCDB_DATABASE_URL": f"shards:{tmp_path}/servers"}


def change(folder: Path) -> None:
    """Give each file the bytes of the one before it and one byte more, so that most move."""
    files = sorted(folder.glob("*.jpg"))
    contents = [file.read_bytes() for file in files]
    for i, file in enumerate(files):
        file.write_bytes(contents[i - 1] + b"\0")


def hits(printed: str) -> list[tuple[str, float, dict[str, Any]]]:
    found = json.loads(printed)
    return [(hit["path"], round(hit["distance"], 5), hit["metadata"]) for hit in found]


def test_exact_answers_are_those_of_one_server(
    spocdb: Run,
    three: list[Database],
    on_three: dict[str, str],
    db: Database,
    make_photos: Make,
) -> None:
    folder = make_photos(150)
    query = make_photos(1, "query", seed=5) / "0000.jpg"
    rows = [f"{i:04}.jpg,{i % 4}" for i in range(150)]
    (folder / "labels.csv").write_text("\n".join(["path,group", *rows]))

    def both(*arguments: object) -> tuple[str, str]:
        done = [spocdb(*arguments, env=on_three), spocdb(*arguments)]
        assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
        return str(done[0].stdout), str(done[1].stdout)

    both("ingest", folder, "--metadata", folder / "labels.csv", *EXTRACTOR)
    assert rows_of(three, IMAGES) == rows_of([db], IMAGES)
    both("pca", "fit", "--dim", "32", "--activate")
    for options in (
        ("-k", 10),
        ("-k", 200),
        ("-k", 5, "--filter", "group=2"),
        ("-k", 50, "--filter", "group>=1 and group<3"),
        ("--within", 0.6),
        ("-k", 20, "--max-distance", 0.5),
        ("-k", 9, "--crop", "10,10,50,40"),
    ):
        sharded, alone = both("search", query, "--exact", "--json", *options)
        assert hits(sharded) == hits(alone)
        assert hits(sharded)
    # By its index each server finds most of its own.
    found = {hit[0] for hit in hits(both("search", query, "--json", "-k", 20)[0])}
    nearest = {hit[0] for hit in hits(both("search", query, "--exact", "--json", "-k", 20)[1])}
    assert len(found & nearest) >= 19


def test_an_ingest_that_is_killed_loses_and_doubles_nothing(
    spocdb: Run,
    start_spocdb: Start,
    wait_until: WaitUntil,
    three: list[Database],
    on_three: dict[str, str],
    db: Database,
    make_photos: Make,
) -> None:
    folder = make_photos(200)
    options = ("ingest", folder, "--batch-size=4", "--auto-pca=0", *EXTRACTOR)
    url = on_three["SPOCDB_DATABASE_URL"]

    def n_with(condition: str) -> int:
        return len(rows_of(three, f"SELECT id FROM spocdb.images WHERE {condition}"))

    def kill_after(condition: str, n: int) -> None:
        process = start_spocdb(*options, SPOCDB_DATABASE_URL=url)
        wait_until(lambda: n_with(condition) >= n, process)
        process.kill()
        process.wait()
        assert n_with(condition) < 200

    kill_after("true", 10)
    assert spocdb(*options, env=on_three).returncode == 0
    assert spocdb(*options).returncode == 0
    assert rows_of(three, IMAGES) == rows_of([db], IMAGES)
    # A file whose bytes change is stored on one server and deleted on another.
    (highest,) = rows_of([db], "SELECT max(ingested_at) FROM spocdb.images")
    change(folder)
    for part in range(3):
        kill_after(f"ingested_at > '{highest[0]}'", 20 + 40 * part)
        # No name is without its image at any time.
        assert len({row[0] for row in rows_of(three, IMAGES)}) == 200
    assert spocdb(*options, env=on_three).returncode == 0
    assert spocdb(*options).returncode == 0
    assert rows_of(three, IMAGES) == rows_of([db], IMAGES)
    assert rows_of(three, DOUBLED) == rows_of(three, FAILURES) == []


def test_two_ingests_at_once(
    spocdb: Run,
    start_spocdb: Start,
    three: list[Database],
    on_three: dict[str, str],
    db: Database,
    make_photos: Make,
) -> None:
    folder = make_photos(120)
    shutil.copy(folder / "0001.jpg", folder / "again.jpg")
    url = on_three["SPOCDB_DATABASE_URL"]
    options = ("ingest", folder, "--batch-size=4", "--auto-pca=0", *EXTRACTOR)
    for _ in range(2):
        both = [start_spocdb(*options, SPOCDB_DATABASE_URL=url) for _ in range(2)]
        said = [process.communicate(timeout=240) for process in both]
        assert [process.wait() for process in both] == [0, 0], said
        assert spocdb(*options).returncode == 0
        assert rows_of(three, IMAGES) == rows_of([db], IMAGES)
        assert rows_of(three, DOUBLED) == []
        change(folder)


def test_a_server_that_is_down(
    spocdb: Run, folders: list[Path], on_three: dict[str, str], make_photos: Make
) -> None:
    folder = make_photos(30)
    assert spocdb("ingest", folder, *EXTRACTOR, env=on_three).returncode == 0
    embedded.stop(folders[2])
    more = make_photos(30, "more", seed=3)
    for command in (
        ("search", folder / "0001.jpg"),
        ("ingest", more),
        ("collections", "list"),
        ("images", "list"),
    ):
        done = spocdb(*command, env=on_three)
        assert done.returncode == 1
        assert done.stdout == ""
        (line,) = [one for one in done.stderr.splitlines() if "loading" not in one]
        assert line.startswith("spocdb: server 3 of 3: cannot reach the database: ")
    embedded.start(folders[2])
    assert spocdb("ingest", more, env=on_three).returncode == 0
    assert len(json.loads(spocdb("images", "list", "--json", env=on_three).stdout)) == 60


def test_an_interrupted_command_ends_its_statements(
    start_spocdb: Start,
    spocdb: Run,
    wait_for_lock: WaitForLock,
    three: list[Database],
    on_three: dict[str, str],
    make_photos: Make,
) -> None:
    folder = make_photos(30)
    assert spocdb("ingest", folder, *EXTRACTOR, env=on_three).returncode == 0
    holder = three[1].connection
    with connections.connect(three[1].url) as asking:
        for command in (("images", "list"), ("ingest", folder)):
            with holder.transaction():
                holder.execute("LOCK TABLE spocdb.images")
                url = on_three["SPOCDB_DATABASE_URL"]
                process = start_spocdb(*command, SPOCDB_DATABASE_URL=url)
                wait_for_lock(asking)
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=60) == 130
                wait_for_lock(asking, 0)
