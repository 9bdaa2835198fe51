"""Kinds of index survive upgrades and dumps, and downgrades if older functions know them."""

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

INDEXES = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index
WHERE indexrelid::regclass::text LIKE 'spocdb.embeddings%_hnsw' ORDER BY 1
"""
TYPES = "SELECT index_type FROM spocdb.embedding_tables ORDER BY collection_id, projection_id"


@pytest.fixture
def filled(empty_url: str, psql: Psql) -> str:
    """Return the URL of a database that release 0.1.0 filled, upgraded."""
    psql(empty_url, DUMP.read_text()).check_returncode()
    schema.upgrade(empty_url)
    return empty_url


def build(url: str, environment: dict[str, str], kind: str | None) -> list[str]:
    """Build the indexes of all collections; return the paths that are similar to an image."""
    with Database(from_environment(url, environment)) as db:
        for one in db.collections():
            db.index.build(one.name, kind)  # type: ignore[arg-type]
        assert kind is None or {s.kind for s in db.index.status() if s.active} == {kind}
        row = db.connection.execute("SELECT min(id) FROM spocdb.photos").fetchone()
        assert row is not None
        return [hit.path for hit in db.similar(row[0], 5, collection="photos", exact=False)]


def test_an_upgrade_changes_no_kind(filled: str, environment: dict[str, str]) -> None:
    with Database(from_environment(filled, environment)) as db:
        before = db.connection.execute(TYPES).fetchall()
        assert {s.kind for s in db.index.status()} == {f"hnsw-{kind}" for (kind,) in before}
    build(filled, environment, None)
    with Database(from_environment(filled, environment)) as db:
        assert db.connection.execute(TYPES).fetchall() == before


@pytest.mark.parametrize("kind", ["hnsw-halfvec", "hnsw-bit"])
def test_a_downgrade_and_an_upgrade(
    filled: str, environment: dict[str, str], psql: Psql, kind: str
) -> None:
    expected = build(filled, environment, "hnsw-vector")
    assert build(filled, environment, kind) == expected
    schema.downgrade(filled, "0.1.0")
    left = psql(filled, INDEXES).stdout
    assert "bit_hamming_ops" not in left, "older functions cannot search by it"
    assert ("halfvec_ip_ops" in left) == (kind == "hnsw-halfvec")
    schema.upgrade(filled)
    kept = "hnsw-halfvec" if kind == "hnsw-halfvec" else "hnsw-vector"
    assert build(filled, environment, None) == expected
    with Database(from_environment(filled, environment)) as db:
        assert {s.kind for s in db.index.status() if s.active} == {kept}


@pytest.mark.parametrize("kind", ["hnsw-halfvec", "hnsw-bit"])
def test_a_dump_brings_the_index_back(
    filled: str,
    make_database: Callable[[str], str],
    environment: dict[str, str],
    psql: Psql,
    dump: Dump,
    kind: str,
) -> None:
    expected = build(filled, environment, kind)
    other = make_database("template0")
    psql(other, dump(filled)).check_returncode()
    assert psql(other, INDEXES).stdout == psql(filled, INDEXES).stdout
    with Database(from_environment(other, environment)) as db:
        assert {s.kind for s in db.index.status() if s.active} == {kind}
        row = db.connection.execute("SELECT min(id) FROM spocdb.photos").fetchone()
        assert row is not None
        assert [hit.path for hit in db.similar(row[0], 5, collection="photos")] == expected
