"""The bytes of images are read by path or key; no connection is held while they are fetched."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spocdb import api
from spocdb.api import Engine
from spocdb.db import pool
from spocdb.db.attachments import Attachment
from spocdb.errors import ImageVanished, RowGone
from spocdb.settings import from_environment
from tests.fixtures.buckets import serving
from tests.fixtures.opened import Database

Make = Callable[..., Path]


@pytest.fixture
def narrow(
    url: str, environment: dict[str, str], db: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[api.Database]:
    """Return the API with a single connection, for which no call waits."""
    monkeypatch.setattr(pool, "SECONDS_UNTIL_BUSY", 0.0)
    with Engine(from_environment(url, environment), pool_size=1) as engine:
        yield api.Database(engine)


def test_files_are_read_without_a_connection(
    db: Database, narrow: api.Database, make_photos: Make, recipe: dict[str, Any]
) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    read = narrow.reader()
    with narrow.engine.connection():
        for file in folder.iterdir():
            assert read(str(file)) == file.read_bytes()
        with pytest.raises(ImageVanished, match="No such file"):
            read(str(folder / "gone.jpg"))


def test_a_key_gives_what_its_row_names_now(
    db: Database, narrow: api.Database, make_photos: Make, recipe: dict[str, Any]
) -> None:
    folder = make_photos(2)
    db.connection.execute("CREATE TABLE shots (id int PRIMARY KEY, at text)")
    db.connection.execute("INSERT INTO shots VALUES (1, '0000.jpg')")
    db.tables.attach(Attachment("shots", "id", "at", root=str(folder)), **recipe)
    read = narrow.reader("shots")
    assert read("1") == (folder / "0000.jpg").read_bytes()
    db.connection.execute("UPDATE shots SET at = '0001.jpg'")
    assert read("1") == (folder / "0001.jpg").read_bytes()
    with pytest.raises(RowGone, match="the row is gone"):
        read("2")


def test_the_only_connection_is_free_while_a_url_is_fetched(
    db: Database, narrow: api.Database, recipe: dict[str, Any]
) -> None:
    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"%d images" % narrow.count(collection="shots")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    db.connection.execute("CREATE TABLE shots (id int PRIMARY KEY, at text)")
    db.tables.attach(Attachment("shots", "id", "at", urls=True, allow_private=True), **recipe)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    with serving(server):
        address = f"http://127.0.0.1:{server.server_address[1]}/a.jpg"
        db.connection.execute("INSERT INTO shots VALUES (1, %s)", [address])
        assert narrow.reader("shots")("1") == b"0 images"
