"""Collections of synthetic descriptors, which need neither images nor a network."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb import projections as fitting
from spocdb.db import collections, connections, curves, indexes, projections, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.projection import project
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import sha256_of
from spocdb.records import Float32Array, ImageRef, NewDescriptor, Recipe
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Clustered = Callable[..., Float32Array]
AddImages = Callable[..., Collection]
Fill = Callable[[connections.Connection], object]


@pytest.fixture(scope="session")
def made_up() -> Recipe:
    """Return the recipe of the synthetic descriptors; there are no weights of this hash."""
    return make_recipe("squeezenet1_1", hashlib.sha256(b"made up").hexdigest())


@pytest.fixture(autouse=True)
def quick_measures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure indexes by few queries, which is quicker, unless a test asks for `measured_well`."""
    if "measured_well" not in request.fixturenames:
        monkeypatch.setattr(curves, "FEWEST", 20)
        monkeypatch.setattr(curves, "MOST", 20)


@pytest.fixture
def measured_well() -> None:
    """Measure indexes by as many queries as ever."""


@pytest.fixture(scope="session", autouse=True)
def mini_loaded_once() -> Iterator[None]:
    """Load `mini` once for the engines of all tests, as one process would.

    Other weights, and several recipes together, are loaded each time. A recipe names its weights by
    the hash of their bytes, which were read before: each test's cache has its own copy of the file.
    """
    from spocdb.features import devices, extractor

    mini = sha256_of(MINI)
    load, loaded = extractor.load_extractor, dict[tuple[object, ...], extractor.Extractor]()

    def once(recipe: Recipe, weights: Path, *options: Any) -> extractor.Extractor:
        if recipe.weights != mini or len(options) > 3:
            return load(recipe, weights, *options)
        # A test may say that this CPU is another.
        key = (recipe, *options, devices._cpu_has_bfloat16())
        found = loaded.get(key) or load(recipe, weights, *options)
        return loaded.setdefault(key, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "load_extractor", once)
        yield


@pytest.fixture(scope="session")
def clustered() -> Clustered:
    """Return a function that makes `n` descriptors in clusters, like those of photographs."""

    def make(n: int, channels: int = 32, seed: int = 0) -> Float32Array:
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(max(n // 25, 2), channels))
        rows = centres[rng.integers(len(centres), size=n)]
        rows = rows + 0.5 * rng.normal(size=(n, channels))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        # Rounded to half precision, as an extractor's descriptors are.
        result: Float32Array = rows.astype(np.float16).astype(np.float32)
        return result

    return make


@pytest.fixture(scope="session")
def add_images(made_up: Recipe) -> AddImages:
    """Return a function that stores descriptors as images of a collection, created if missing.

    Equal descriptors have equal content hashes. Names are numbered from `first`.
    """

    def add(
        connection: connections.Connection,
        raw: Float32Array,
        name: str = "photos",
        recipe: Recipe = made_up,
        first: int = 0,
    ) -> Collection:
        found = collections.find(connection, name)
        target = found or collections.create(connection, name, recipe, raw.shape[1])
        load = cache(partial(projections.load, connection))
        hashes = [hashlib.sha256(row.tobytes()).digest() for row in raw]
        batch = Batch(
            images=[
                (ImageRef(f"/{name}/{first + i:06d}.jpg", "1 1", size=1), sha256)
                for i, sha256 in enumerate(hashes)
            ],
            descriptors={
                sha256: NewDescriptor(4, 3, row) for sha256, row in zip(hashes, raw, strict=True)
            },
        )
        writing.make_staging(connection)
        writing.write(connection, target, batch, lambda id_, rows: project(rows, load(id_)))
        return target

    return add


@pytest.fixture(scope="module")
def make_template(server: str, template: str) -> Iterator[Callable[..., str]]:
    """Return a function that fills a database and returns its name, for copies of it.

    It begins as a copy of the second argument, if there is one. It is there until the last test of
    a file, for files whose tests stay in one process.
    """
    made: list[str] = []

    def make(fill: Fill, origin: str = template) -> str:
        name = f"{template}_{len(made)}"
        admin.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name)))
        statement = SQL("CREATE DATABASE {} TEMPLATE {}")
        admin.execute(statement.format(Identifier(name), Identifier(origin)))
        made.append(name)
        with connections.connect(make_conninfo(server, dbname=name)) as connection:
            fill(connection)
        return name

    with psycopg.connect(server, autocommit=True) as admin:
        yield make
        for name in made:
            admin.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


@pytest.fixture(scope="session")
def gallery_rows(clustered: Clustered) -> Float32Array:
    """Return the descriptors (5000, 256) of the gallery."""
    return clustered(5100, 256)[:5000]


@pytest.fixture(scope="session")
def gallery_queries(clustered: Clustered) -> Float32Array:
    """Return the descriptors (100, 256) of images that resemble the gallery's but are not in it."""
    return clustered(5100, 256)[5000:]


@pytest.fixture(scope="session")
def gallery_template(
    server: str, template: str, gallery_rows: Float32Array, add_images: AddImages
) -> Iterator[str]:
    """Return the name of a database with 5000 clustered images of 256 dimensions.

    Projection 1 is the raw one, in half precision. Projection 2 has 64 dimensions and is active.
    Both have an index of whole vectors, so that the view shows the numbers that are searched.
    """
    name = f"{template}_gallery"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        url = make_conninfo(server, dbname=name)
        with connections.connect(url) as connection:
            target = add_images(connection, gallery_rows)
            connection.execute(
                "UPDATE spocdb.images SET metadata = jsonb_build_object("
                "'n', id, 'even', id % 2 = 0, 'shop', 'shop ' || id % 100)"
            )
            indexes.build(connection, target, target.active_projection_id, "hnsw-vector")
            number = fitting.fit(connection, [target], 64)
            fitting.activate(connection, partial(connections.connect, url), target, number)
            # Plans depend on statistics, which autovacuum would collect a minute later.
            connection.execute("ANALYZE spocdb.images")
        yield name
        admin.execute(f"DROP DATABASE {name}")


@pytest.fixture
def gallery_url(make_database: Callable[[str], str], gallery_template: str) -> str:
    """Return the URL of a copy of the gallery."""
    return make_database(gallery_template)


@pytest.fixture
def gallery(gallery_url: str, environment: dict[str, str]) -> Iterator[Database]:
    """Return the API on a copy of the gallery."""
    with Database(from_environment(gallery_url, environment)) as database:
        yield database


@pytest.fixture
def other(
    make_database: Callable[[str], str], template: str, environment: dict[str, str]
) -> Iterator[Database]:
    """Return the API on a second database."""
    with Database(from_environment(make_database(template), environment)) as database:
        yield database


@pytest.fixture
def role(server: str, url: str) -> Iterator[str]:
    """Return the name of a role without privileges; the name needs quoting."""
    name = 'shop "web"'
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))
        admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        yield name
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        admin.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def _plan(
    connection: connections.Connection, statement: str, parameters: Sequence[Any] = ()
) -> str:
    rows = connection.execute(f"EXPLAIN (COSTS OFF) {statement}", parameters)
    return "\n".join(row[0] for row in rows)


@pytest.fixture(scope="session")
def plan() -> Callable[..., str]:
    """Return a function that returns the plan of a statement as text."""
    return _plan


@pytest.fixture
def roles(server: str) -> Iterator[dict[str, str]]:
    """Return the names of roles without privileges, which are dropped after the database."""
    names = {name: f'spocdb "{name}"' for name in ("reader", "worker", "member", "writer", "owner")}
    with psycopg.connect(server, autocommit=True) as admin:
        for name in names.values():
            admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))
            admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        yield names
        for name in names.values():
            admin.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture
def log_in(url: str) -> Iterator[Callable[[str], connections.Connection]]:
    """Return a function that opens a connection as a role."""
    opened = []

    def connect(role: str) -> connections.Connection:
        opened.append(connections.connect(make_conninfo(url, user=role)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def trapper(server: str) -> Iterator[str]:
    """Return the name of a role; request it before the database, which must be dropped first."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS trapper")
        admin.execute("CREATE ROLE trapper")
        yield "trapper"
        admin.execute("DROP ROLE trapper")
