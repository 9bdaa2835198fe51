"""Fixtures of all tests: a real server, small pictures, a small network, the shared data.

Each session starts one server and migrates one template database. Each test gets a copy of the
template, which takes a twentieth of the time of a migration.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from typer.main import get_command

from spocdb.api.engine import POOL_SIZE
from spocdb.db import schema
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

pytest_plugins = [
    "tests.fixtures.copies",
    "tests.fixtures.logs",
    "tests.fixtures.distribution",
    "tests.fixtures.forking",
    "tests.fixtures.photos",
    "tests.fixtures.ingested_photos",
    "tests.fixtures.program",
    "tests.fixtures.ray_nodes",
    "tests.fixtures.servers",
    "tests.fixtures.sharded",
    "tests.fixtures.shop",
    "tests.fixtures.stripes",
    "tests.fixtures.waiting",
    # It imports the fixtures above, whose asserts pytest would not rewrite otherwise.
    "tests.fixtures.killed",
    "tests.fixtures.buckets",
    "tests.fixtures.clouds",
]

SHARED = Path(__file__).resolve().parents[2] / "shared"
# Fixtures that begin with a database that is made once, by the fixture NAME_template.
FILLED = {"stocked", "granted", "poor", "grouped", "released", "ingested_photos"}
# One per process of pytest-xdist, because SPOCDB_TEST_DSN may name one server for all of them.
TEMPLATE = f"spocdb_template{os.environ.get('PYTEST_XDIST_WORKER', '')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on the server's version, and those that drive a browser.

    The former use a database. Tests that start programs or use real photographs are left out: they
    take long, and show nothing more about a server.
    """
    others = {"spocdb", "spocdb_process", "fork", "start_process", "shop_environment", "shared"}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "server" in fixtures and not fixtures & others:
            item.add_marker("servers")
        if "chromium" in fixtures:
            item.add_marker("browser")


def pytest_collection_finish() -> None:
    """Leave what lasts for the whole run out of every search for garbage, a tenth of the time."""
    gc.collect()
    gc.freeze()


def n_threads() -> int | None:
    """Return torch's number of threads; None if it is not loaded."""
    return sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Give torch its number of threads back after each test: with another, sums are others.

    Libraries that share OpenMP with torch change it, too.
    """
    before = n_threads()
    yield
    if before is not None and n_threads() != before:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared data; without it tests are skipped, or fail in CI."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"no test data: {SHARED} is missing")
        pytest.skip(f"no test data in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def squeezenet_weights(shared: Path) -> Path:
    """Return SqueezeNet's ImageNet weights."""
    return shared / "weights" / "squeezenet1_1_imagenet_features.pth"


@pytest.fixture(scope="session")
def app() -> Iterator[Any]:
    """Return the Typer app, imported at run time: type checkers do not find `spocdb.cli`.

    Its tree of commands is built once, as the program does, and not by each `CliRunner.invoke`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield importlib.import_module("spocdb.cli").app


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """Return the name of a migrated database, which tests get copies of."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
        schema.upgrade(make_conninfo(server, dbname=TEMPLATE))
        yield TEMPLATE
        admin.execute(f"DROP DATABASE {TEMPLATE}")


@pytest.fixture(scope="session")
def admin(server: str) -> Iterator[psycopg.Connection]:
    """Return a superuser's connection, which creates and drops the databases of all tests."""
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_database(server: str, admin: psycopg.Connection) -> Iterator[Callable[[str], str]]:
    """Return a function that copies a template database and returns the copy's URL."""
    made: list[str] = []
    # Copies whole files. The default, new in PostgreSQL 15, copies page by page without the file
    # of cached catalogue entries, so that the first connection takes longer.
    strategy = "STRATEGY FILE_COPY" if admin.info.server_version >= 150_000 else ""
    statement = f"CREATE DATABASE {{}} TEMPLATE {{}} {strategy}"

    def make(template: str) -> str:
        name = f"test_{uuid4().hex}"
        admin.execute(SQL(statement).format(Identifier(name), Identifier(template)))
        made.append(name)
        return make_conninfo(server, dbname=name)

    yield make
    for name in made:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def empty_url(make_database: Callable[[str], str]) -> str:
    """Return the URL of a database without spocdb."""
    return make_database("template1")


@pytest.fixture
def filled_template(request: pytest.FixtureRequest, template: str) -> str:
    """Return the name of the database that a test gets a copy of: empty, or as a fixture asks.

    A test that uses the fixture `stocked` begins with the database `stocked_template`.
    """
    filled = [name for name in request.fixturenames if name in FILLED]
    return str(request.getfixturevalue(f"{filled[0]}_template")) if filled else template


@pytest.fixture
def url(make_database: Callable[[str], str], filled_template: str) -> str:
    """Return the URL of a database with spocdb's schema."""
    return make_database(filled_template)


@pytest.fixture
def pool_size() -> int:
    """Return how many connections `db` may open; a test may set it, e.g. to find the same again."""
    return POOL_SIZE


@pytest.fixture
def db(url: str, environment: dict[str, str], pool_size: int) -> Iterator[Database]:
    """Return the API on a fresh database."""
    with Database(from_environment(url, environment), pool_size) as database:
        yield database


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights of a SqueezeNet, random by a fixed seed; it distinguishes pictures."""
    import torch
    from torchvision.models import squeezenet1_1

    file = tmp_path_factory.mktemp("weights") / "random.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(squeezenet1_1(weights=None).state_dict(), file)
    return file


@pytest.fixture(scope="session")
def recipe() -> dict[str, Any]:
    """Return the options of a quick extractor: 256 dimensions, pictures of 64 pixels."""
    return {"extractor": "mini", "size": 64}


@pytest.fixture(scope="session")
def random_recipe(random_weights: Path) -> dict[str, Any]:
    """Return the options of an extractor whose weights are in a user's file."""
    return {"extractor": "squeezenet1_1", "weights": random_weights, "size": 64}
