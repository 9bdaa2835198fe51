"""Embeddings in parts: dumped and restored with their indexes; in one table for older programs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spocdb.db import schema
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Dump = Callable[..., str]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]

DUMP = Path(__file__).parent / "releases" / "0.1.0.sql"
TABLES = "SELECT relname, relkind FROM pg_class WHERE relname ~ '^embeddings_1_2' ORDER BY 1"
ROWS = "SELECT image_id, embedding FROM spocdb.embeddings_1_2 ORDER BY 1"


@pytest.fixture
def in_parts(empty_url: str, psql: Psql, environment: dict[str, str]) -> str:
    """Return the URL of a database that release 0.1.0 filled, upgraded, in two parts."""
    psql(empty_url, DUMP.read_text()).check_returncode()
    schema.upgrade(empty_url)
    with Database(from_environment(empty_url, environment)) as db:
        db.index.build("photos", partitions=2)
    return empty_url


def similar(url: str, environment: dict[str, str]) -> list[tuple[str, str]]:
    with Database(from_environment(url, environment)) as db:
        row = db.connection.execute("SELECT min(id) FROM spocdb.photos").fetchone()
        assert row is not None
        return [(hit.path, hit.method) for hit in db.similar(row[0], 5, collection="photos")]


def test_a_dump_brings_parts_and_indexes_back(
    in_parts: str,
    make_database: Callable[[str], str],
    environment: dict[str, str],
    psql: Psql,
    dump: Dump,
) -> None:
    other = make_database("template0")
    psql(other, dump(in_parts)).check_returncode()
    for statement in (TABLES, ROWS):
        assert psql(other, statement).stdout == psql(in_parts, statement).stdout
    found = similar(other, environment)
    assert found == similar(in_parts, environment) and found[0][1] == "hnsw"
    with Database(from_environment(other, environment)) as db:
        (status,) = (s for s in db.index.status("photos") if s.active)
        assert (status.partitions, status.index) == (2, "embeddings_1_2_hnsw")
        db.index.build("photos")


def test_an_older_program_gets_one_table(
    in_parts: str, environment: dict[str, str], psql: Psql
) -> None:
    paths = [path for path, _ in similar(in_parts, environment)]
    rows = psql(in_parts, ROWS).stdout
    psql(in_parts, "CREATE VIEW shop AS SELECT path FROM spocdb.photos").check_returncode()
    schema.downgrade(in_parts, "0.1.0")
    assert psql(in_parts, TABLES).stdout.split() == ["embeddings_1_2|r", "embeddings_1_2_pkey|i"]
    assert psql(in_parts, ROWS).stdout == rows and rows
    assert psql(in_parts, "SELECT count(*) FROM shop").stdout.strip() != "0"
    schema.upgrade(in_parts)
    assert similar(in_parts, environment) == [(path, "exact") for path in paths]
    with Database(from_environment(in_parts, environment)) as db:
        assert (db.index.build("photos") or 0) >= 0.98
        assert {s.partitions for s in db.index.status()} == {1}
