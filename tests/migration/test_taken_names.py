"""A collection may have the name that a later version gives to one of its tables."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from spocdb.db import schema
from spocdb.db.tables import metadata
from spocdb.errors import DatabaseError
from spocdb.features.recipes import channels, make_recipe
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Psql = Callable[..., "subprocess.CompletedProcess[str]"]

SINCE_RELEASE = (
    "thumbnails",
    "queries",
    "maps",
    "map_positions",
    "duplicate_searches",
    "duplicate_changes",
    "duplicate_choices",
    "duplicate_pairs",
    "duplicate_members",
    "duplicate_decisions",
    "duplicate_thresholds",
    "duplicate_ungrouped",
    "recalls",
    "listed_archives",
)


@pytest.fixture(scope="module")
def released_template(
    server: str, template: str, admin: psycopg.Connection[TupleRow]
) -> Iterator[str]:
    """Return the name of a database with the schema of the release."""
    name = f"{template}_released"
    admin.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name)))
    statement = SQL("CREATE DATABASE {} TEMPLATE {}")
    admin.execute(statement.format(Identifier(name), Identifier(template)))
    schema.downgrade(make_conninfo(server, dbname=name), "0.1.0")
    yield name
    admin.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


@pytest.fixture
def released(url: str) -> str:
    """Return the URL of a copy of that database."""
    return url


def test_every_table_since_the_release_is_looked_at(released: str) -> None:
    with psycopg.connect(released) as connection:
        relations = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'spocdb'::regnamespace"
        )
        before = {name for (name,) in relations}
    now = {table.name for table in metadata.sorted_tables if table.schema == "spocdb"}
    assert now - before == {*SINCE_RELEASE}


@pytest.mark.parametrize("name", SINCE_RELEASE)
def test_an_upgrade_says_how_to_rename_the_collection(
    released: str, psql: Psql, environment: dict[str, str], name: str
) -> None:
    recipe = make_recipe("mini", "f" * 64)
    with psycopg.connect(released) as connection:
        described = (recipe.name, recipe.fingerprint, Jsonb(asdict(recipe)), channels(recipe))
        connection.execute("SELECT spocdb.add_extractor(%s, %s, %s, %s)", described)
        connection.execute("SELECT spocdb.create_collection(%s, 1)", [name])
    with pytest.raises(DatabaseError, match=f"the collection {name} has the name of a table") as no:
        schema.upgrade(released)
    assert "\n" not in str(no.value)
    (statements,) = re.findall(r"rename it, (.*), then upgrade again", str(no.value))
    psql(released, statements).check_returncode()
    schema.upgrade(released)
    with Database(from_environment(released, environment)) as db:
        assert [one.name for one in db.collections()] == [f"my_{name}"]
        db.connection.execute(f"SELECT path, embedding FROM spocdb.my_{name}")
        db.drop(f"my_{name}")
    assert psql(released, f"SELECT to_regclass('spocdb.my_{name}')").stdout.strip() == ""
