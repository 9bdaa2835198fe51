"""Full disks of a server and of the embedded server. The disks are real, and small."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from spocdb.db import embedded
from spocdb.db.collections import Collection
from spocdb.errors import DatabaseError
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]

INDEXES = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname LIKE 'embeddings%hnsw%' ORDER BY 1
"""


@contextmanager
def disk(size: str) -> Iterator[Path]:
    """Mount a small disk; skip the test if this process may not."""
    folder = Path("/tmp", f"spocdb-disk-{uuid4().hex}")
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
            pytest.skip("only root may mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@pytest.fixture
def small_tablespace(server: str) -> Iterator[str]:
    """Return a tablespace of 512 KB; the server must be on this machine."""
    name = f"small_{uuid4().hex}"
    with disk("512k") as folder, psycopg.connect(server, autocommit=True) as admin:
        row = admin.execute("SHOW data_directory").fetchone()
        assert row is not None
        os.chown(folder, Path(row[0]).stat().st_uid, -1)
        statement = SQL("CREATE TABLESPACE {} LOCATION {}")
        admin.execute(statement.format(Identifier(name), Literal(str(folder))))
        yield name
        admin.execute(SQL("DROP TABLESPACE {}").format(Identifier(name)))


@pytest.mark.parametrize("pool_size", [1])
def test_a_full_disk_leaves_no_index_behind(
    db: Database, add_images: AddImages, clustered: Clustered, small_tablespace: str
) -> None:
    add_images(db.connection, clustered(1500))
    db.index.build()
    with db.engine.connection() as connection:
        # The pool has no other connection, so the next call gets it in this state.
        connection.execute(SQL("SET default_tablespace = {}").format(Identifier(small_tablespace)))
    with pytest.raises(DatabaseError, match="No space left on device") as caught:
        db.index.build()
    assert "\n" not in str(caught.value)
    assert db.connection.execute(INDEXES).fetchall() == [("embeddings_1_1_hnsw", True)]
    assert db.similar(1, 3)[0].method == "hnsw"


def fill(folder: Path) -> Path:
    """Write a file until the disk is full."""
    file = folder / "fill"
    with open(file, "wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(bytes(65536))
    return file


def refused(folder: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        embedded.start(folder)
    assert str(caught.value) == (
        f"the embedded server does not start: the disk of {folder} is full: "
        "free some space, then run the same command again"
    )


def test_an_embedded_server_that_finds_no_room_says_so() -> None:
    with disk("16m") as folder:
        refused(folder)


def test_an_embedded_server_on_a_disk_that_became_full_says_so_and_comes_back() -> None:
    with disk("128m") as folder:
        try:
            url = embedded.start(folder)
            embedded.stop(folder)
            file = fill(folder)
            refused(folder)
            file.unlink()
            assert embedded.start(folder) == url
        finally:
            embedded.stop(folder)
