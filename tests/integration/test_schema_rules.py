"""Rules for every function and table of the schema."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.db import building, connections, sql_files
from spocdb.db.tables import metadata

FUNCTIONS = Path(__file__).parents[2] / "migrations" / "sql" / "functions"

CATALOG = """
SELECT p.proname, p.proconfig, p.provolatile, p.proparallel, p.prosecdef,
       obj_description(p.oid, 'pg_proc')
FROM pg_proc p WHERE p.pronamespace = 'spocdb'::regnamespace ORDER BY 1
"""
STATED = re.compile(
    r"CREATE OR REPLACE FUNCTION spocdb\.(\w+).*?"
    r"LANGUAGE (?:sql|plpgsql) (VOLATILE|STABLE|IMMUTABLE) (?:STRICT )?PARALLEL (SAFE|UNSAFE)"
    r"(?: SECURITY DEFINER)?\n"
    r"SET search_path = ([\w@:, ]+)\n.*COMMENT ON FUNCTION spocdb\.\1\(",
    re.DOTALL,
)

# These need the owner's rights: a reader has none to embedding tables, raw descriptors and the
# queue, and a worker has none to the application's tables or to maps.
DEFINERS = {
    "admit_query",
    "attached",
    "collapse",
    "count_embeddings",
    "coverage_of",
    "described_by",
    "duplicate_groups",
    "duplicate_level",
    "duplicate_review",
    "duplicate_target",
    "embed",
    "embedded_by",
    "embedding",
    "embeddings",
    "embeddings_after",
    "fitted_on",
    "forget_position",
    "lock_collection",
    "lock_rows",
    "near_duplicates",
    "note_duplicates",
    "note_reordered",
    "project",
    "search",
    "search_collapsed",
    "similar_rows",
    "source_keys",
    "source_rows",
    "take_in",
    "target",
    "throughput",
    "within",
}


@pytest.fixture
def functions(url: str) -> list[tuple[Any, ...]]:
    with connections.connect(url) as connection:
        return connection.execute(CATALOG).fetchall()


def test_every_function_has_a_fixed_search_path_and_a_comment(
    functions: list[tuple[Any, ...]],
) -> None:
    assert {name for name, *_ in functions} == {file.stem for file in FUNCTIONS.glob("*.sql")}
    for name, config, _, _, is_definer, comment in functions:
        (path,) = [c.partition("=")[2] for c in config if c.startswith("search_path=")]
        # pg_temp last, so that no temporary object can shadow a real one.
        assert path in ("spocdb, pg_temp", "pg_catalog, pg_temp"), name
        assert comment, name
        assert is_definer == (name in DEFINERS), name


def test_every_function_states_its_volatility_and_parallel_safety(
    functions: list[tuple[Any, ...]],
) -> None:
    # The catalog does not show whether a default was written; the files do.
    stated = {}
    for file in FUNCTIONS.glob("*.sql"):
        found = STATED.search(file.read_text())
        assert found is not None, file.name
        assert found[1] == file.stem
        stated[found[1]] = (found[2][0].lower(), found[3][0].lower())
    assert stated == {name: (volatility, safe) for name, _, volatility, safe, *_ in functions}


def test_every_function_is_commented_by_its_arguments(url: str) -> None:
    """A downgrade finds the functions to drop by their comments."""
    with connections.connect(url) as connection:
        found = connection.execute(
            "SELECT p.oid::regprocedure, p.oid::regprocedure = ANY (%s::regprocedure[]) "
            "FROM pg_proc p WHERE p.pronamespace = 'spocdb'::regnamespace",
            [sql_files.signatures()],
        ).fetchall()
    assert [name for name, is_commented in found if not is_commented] == []
    assert len(found) == len(sql_files.signatures())


def test_every_body_passes_the_check_that_an_upgrade_leaves_out(url: str) -> None:
    with connections.connect(url) as connection, connection.transaction():
        connection.execute("SET LOCAL search_path = spocdb, public")
        (checked,) = connections.one_row(connection, "SHOW check_function_bodies")
        assert checked == "on"
        for name in sql_files.function_files():
            body = sql_files.sql_text(name).replace("@extschema:vector@", "public")
            connection.execute(body.encode())


def test_every_table_has_a_comment(url: str) -> None:
    with connections.connect(url) as connection:
        rows = connection.execute(
            "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class "
            "WHERE relnamespace = 'spocdb'::regnamespace AND relkind = 'r'"
        ).fetchall()
    comments: dict[str, str | None] = dict(rows)
    assert all(comments[table.name] for table in metadata.tables.values())


def test_attaching_builds_the_index_that_python_would() -> None:
    text = (FUNCTIONS / "attach.sql").read_text()
    assert f"'m = {building.M}, ef_construction = {building.EF_CONSTRUCTION}'" in text


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE spocdb.extractors SET name = 'another'",
        "UPDATE spocdb.descriptors SET width = 1",
        "UPDATE spocdb.projections SET dim = 1",
        "UPDATE spocdb.projection_components SET scale = 1",
    ],
)
def test_versions_are_immutable(url: str, change: str) -> None:
    with (
        connections.connect(url) as connection,
        pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is immutable"),
    ):
        connection.execute(change)
