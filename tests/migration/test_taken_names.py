"""A collection may have the name that a later version gives to one of its tables."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict

import psycopg
import pytest
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


def test_every_table_since_the_release_is_looked_at(url: str) -> None:
    schema.downgrade(url, "0.1.0")
    with psycopg.connect(url) as connection:
        relations = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'spocdb'::regnamespace"
        )
        before = {name for (name,) in relations}
    now = {table.name for table in metadata.sorted_tables if table.schema == "spocdb"}
    assert now - before == {*SINCE_RELEASE}


@pytest.mark.parametrize("name", SINCE_RELEASE)
def test_an_upgrade_says_how_to_rename_the_collection(
    url: str, psql: Psql, environment: dict[str, str], name: str
) -> None:
    schema.downgrade(url, "0.1.0")
    recipe = make_recipe("mini", "f" * 64)
    with psycopg.connect(url) as connection:
        described = (recipe.name, recipe.fingerprint, Jsonb(asdict(recipe)), channels(recipe))
        connection.execute("SELECT spocdb.add_extractor(%s, %s, %s, %s)", described)
        connection.execute("SELECT spocdb.create_collection(%s, 1)", [name])
    with pytest.raises(DatabaseError, match=f"the collection {name} has the name of a table") as no:
        schema.upgrade(url)
    assert "\n" not in str(no.value)
    (statements,) = re.findall(r"rename it, (.*), then upgrade again", str(no.value))
    psql(url, statements).check_returncode()
    schema.upgrade(url)
    with Database(from_environment(url, environment)) as db:
        assert [one.name for one in db.collections()] == [f"my_{name}"]
        db.connection.execute(f"SELECT path, embedding FROM spocdb.my_{name}")
        db.drop(f"my_{name}")
    assert psql(url, f"SELECT to_regclass('spocdb.my_{name}')").stdout.strip() == ""
