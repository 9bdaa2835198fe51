"""A database that a release filled is upgraded to this program, and downgraded again."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spocdb.db import connections, schema, sql_files
from spocdb.errors import ConfigError, DatabaseError, SchemaOutOfDate
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Dump = Callable[..., str]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]

DATA = Path(__file__).parent / "releases"
RELEASES = [name for name in schema.REVISIONS if sql_files.is_release(name)]

# An application's queries, for files and rows: by index, exact, filtered, expanded.
SEARCHES = """
SELECT id, path, distance, metadata, method FROM spocdb.similar('photos', 3, 5);
SELECT path, distance FROM spocdb.search('photos', spocdb.expand('photos', spocdb.embed('photos',
    (SELECT descriptor::vector FROM spocdb.descriptors ORDER BY sha256 LIMIT 1))), 5,
    '{"kind": "hat"}', true);
SELECT path FROM spocdb.photos
ORDER BY embedding <#> (SELECT embedding FROM spocdb.photos WHERE id = 3) LIMIT 5;
SELECT key, distance, metadata FROM spocdb.similar_rows('products', 2, 5);
SELECT collection, projection, active, relation, rows, embedded, pending, leased, failed, problem
FROM spocdb.coverage;
"""
N_ANSWERS = 5 + 1 + 5 + 2 + 3


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Return each release."""
    return str(request.param)


@pytest.fixture
def filled(empty_url: str, psql: Psql, release: str) -> str:
    """Return the URL of a database that a release filled."""
    psql(empty_url, (DATA / f"{release}.sql").read_text()).check_returncode()
    return empty_url


def test_an_upgrade_keeps_what_there_is_and_a_downgrade_gives_it_back(
    filled: str, release: str, psql: Psql, contents: Dump
) -> None:
    before, answers = contents(filled), psql(filled, SEARCHES)
    assert answers.stdout.count("\n") == N_ANSWERS, answers.stderr
    schema.upgrade(filled)
    upgraded = contents(filled)
    assert psql(filled, SEARCHES).stdout == answers.stdout
    schema.downgrade(filled, release)
    assert contents(filled) == before
    assert psql(filled, SEARCHES).stdout == answers.stdout
    schema.upgrade(filled)
    assert contents(filled) == upgraded


def test_an_upgraded_schema_is_a_new_one(
    filled: str, url: str, environment: dict[str, str], contents: Dump
) -> None:
    """Functions that are gone or have other arguments are dropped; columns are unchanged."""
    schema.upgrade(filled)
    with Database(from_environment(filled, environment)) as db:
        db.tables.detach("products")
        db.drop("photos")
        db.connection.execute("DROP TABLE products")
    assert contents(filled, "--schema-only") == contents(url, "--schema-only")


def test_this_program_reads_what_a_release_wrote(filled: str, environment: dict[str, str]) -> None:
    schema.upgrade(filled)
    with Database(from_environment(filled, environment)) as db:
        assert [c.name for c in db.collections()] == ["photos", "products"]
        assert len(db.similar(3, 5, collection="photos")) == 5
        (extractor,) = db.extractors()
        assert (extractor.recipe.backbone, extractor.recipe.size) == ("mini", 64)
        assert [failure.path for failure in db.failures()] == ["/srv/shop/photos/broken.jpg", "9"]
        assert {evaluation.benchmark for evaluation in db.evaluations()} == {"pairs"}
        db.connection.execute("UPDATE products SET name = 'boot' WHERE id = 2")
        (coverage,) = db.tables.coverage("products")
        assert (coverage.rows, coverage.pending, coverage.failed) == (5, 3, 1)
        db.tables.detach("products")


def test_a_release_goes_away_without_a_trace(filled: str, dump: Dump) -> None:
    schema.upgrade(filled)
    schema.downgrade(filled, "base")
    left = dump(filled, "--schema=spocdb")
    assert "CREATE FUNCTION" not in left and "COMMENT" not in left
    assert left.count("CREATE TABLE") == 1  # alembic_version, now empty
    assert "spocdb" not in dump(filled, "--table=products")


def test_only_to_a_release_is_there_a_way_back(filled: str, dump: Dump) -> None:
    schema.upgrade(filled)
    before = dump(filled)
    with pytest.raises(ConfigError, match=r"^no release '0\.0\.9': choose one of 0\.1\.0"):
        schema.downgrade(filled, "0.0.9")
    assert dump(filled) == before


def test_a_downgrade_of_nothing_is_an_error(empty_url: str, release: str, dump: Dump) -> None:
    before = dump(empty_url)
    with pytest.raises(DatabaseError, match=r"^the migration failed: "):
        schema.downgrade(empty_url, release)
    assert dump(empty_url) == before
    with pytest.raises(SchemaOutOfDate), connections.connect(empty_url) as connection:
        schema.check(connection)
