"""A real web server on a free port, with a gallery that tests only read."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg.conninfo import make_conninfo

from spocdb.api import Engine
from spocdb.settings import from_environment
from spocdb.web.options import ServerOptions
from spocdb.web.server import Server
from tests.fixtures.opened import Database

Serving = Callable[..., AbstractContextManager[httpx.Client]]
API = "/api/v1"
N_PHOTOS = 24


def blobs(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return a picture of smooth blobs of colour; each seed gives a different one."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of different photographs; the name of one is markup."""
    folder = tmp_path_factory.mktemp("web") / "photos"
    folder.mkdir()
    for n in range(N_PHOTOS):
        blobs(n).save(folder / f"{n:02d}.jpg", quality=90)
    (folder / "00.jpg").rename(folder / "<img src=x onerror=alert(1)>.jpg")
    return folder


@pytest.fixture(scope="session")
def metadata(photos: Path) -> Path:
    """Return a file with metadata of the photographs: texts, numbers, dates and markup."""
    file = photos.with_name("metadata.jsonl")
    kinds = ("shoe", "boot", "<b>hat</b>")
    lines = [
        {"path": str(photo), "kind": kinds[n % 3], "year": 2000 + n, "sold": f"2024-01-{n + 1:02d}"}
        for n, photo in enumerate(sorted(photos.iterdir()))
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.fixture(scope="session")
def gallery(
    server: str,
    template: str,
    photos: Path,
    metadata: Path,
    recipe: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Database]:
    """Return a database with the collections `photos` and `others`."""
    name = f"test_{uuid4().hex}"
    environment = {"SPOCDB_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        with Database(from_environment(make_conninfo(server, dbname=name), environment)) as db:
            db.ingest(photos, collection="photos", exif=True, metadata=metadata, **recipe)
            db.ingest(photos / "05.jpg", collection="others", **recipe)
            yield db
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def serving(engine: Engine, **options: Any) -> Iterator[httpx.Client]:
    """Serve an engine's database in a thread; yield a client of it."""
    ready = threading.Event()
    server = Server(engine, ServerOptions(port=0, **options))
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(30), "the server did not start"
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield client
    finally:
        server.stop()
        thread.join(30)
    assert not thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="session")
def serve() -> Serving:
    """Return a context manager that serves an engine's database and yields a client."""
    return serving


@pytest.fixture(scope="session")
def client(gallery: Database) -> Iterator[httpx.Client]:
    """Return a client of a server of the gallery with default options."""
    with serving(gallery.engine) as found:
        yield found


@pytest.fixture
def ids(gallery: Database) -> dict[str, int]:
    """Return the ids of the photographs, by file name."""
    return {Path(i.path).name: i.id for i in gallery.images(collection="photos", embeddings=False)}
