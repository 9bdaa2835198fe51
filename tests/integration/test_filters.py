"""Filters in SQL: the documented results, the index, and messages when nothing matches."""

import ast
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgvector import Vector
from psycopg.types.json import Jsonb

from spocdb.db import connections
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError
from spocdb.filters import OPERATORS, Json, parse
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "reference" / "filters.md"
FINDS = "SELECT coalesce(%s::jsonb @@ spocdb.filter_path(%s), false)"


def documented() -> Iterator[tuple[str, str, str]]:
    """Yield (filter, metadata that match, metadata that do not) of each row of the tables."""
    for line in DOCUMENTATION.read_text().splitlines():
        cells = re.findall(r"`([^`]*)` *\|", line)
        if line.startswith("|") and len(cells) >= 3 and cells[-1].startswith("{"):
            yield cells[-3], cells[-2], cells[-1]


def as_sql(example: str) -> Any:
    return json.loads(example) if example[0] in "[{" else parse(example)


@pytest.fixture
def connection(url: str) -> Iterator[connections.Connection]:
    with connections.connect(url) as connected:
        yield connected


def test_the_documentation_tells_the_truth(connection: connections.Connection) -> None:
    examples = list(documented())
    assert len(examples) >= 28
    for example, found, not_found in examples:
        for metadata, expected in ((found, True), (not_found, False)):
            row = connection.execute(FINDS, [metadata, Jsonb(as_sql(example))]).fetchone()
            assert row == (expected,), (example, metadata)


def test_the_documentations_queries_run(
    db: Database, add_images: AddImages, clustered: Callable[..., Float32Array]
) -> None:
    add_images(db.connection, clustered(3))
    db.connection.execute(
        """
        UPDATE spocdb.images
        SET metadata = '{"year": 2023, "kind": "shoe", "seller": {"name": "X"}}' WHERE id > 1
        """
    )
    text = DOCUMENTATION.read_text()
    queries = "".join(re.findall(r"```sql\n(.*?)```", text, re.DOTALL)).strip().split(";")[:-1]
    assert [len(db.connection.execute(query).fetchall()) for query in queries] == [2, 2]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    calls = [ast.unparse(statement) for statement in ast.parse(code).body]
    assert [len(eval(call, {"db": db})) for call in calls] == [2, 2, 2]


# Few letters and numbers, so that matches are frequent.
SCALARS = st.sampled_from([None, True, False, 0, -1, 2.5, "", "a", 'a"b', "\\", "$", "it's", "%s"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", 'q"uote', "b.c", "d[0]", "*"]), inner, max_size=3)
    ),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", 'q"uote', "b.c", "d[0]", "*"]), VALUES, max_size=3)
ONE_DATABASE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)


@ONE_DATABASE
@given(metadata=OBJECTS, wanted=OBJECTS)
def test_an_object_is_contained_as_postgresql_says(
    connection: connections.Connection, metadata: dict[str, Any], wanted: dict[str, Any]
) -> None:
    expected = connection.execute("SELECT %s @> %s", [Jsonb(metadata), Jsonb(wanted)]).fetchone()
    for filter in (wanted, [wanted]):
        assert connection.execute(FINDS, [Jsonb(metadata), Jsonb(filter)]).fetchone() == expected


@ONE_DATABASE
@given(
    metadata=OBJECTS,
    key=st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    operator=st.sampled_from(OPERATORS),
    value=VALUES,
)
def test_no_key_value_or_odd_row_is_an_error(
    connection: connections.Connection,
    metadata: dict[str, Any],
    key: str,
    operator: str,
    value: Any,
) -> None:
    """A condition is refused for all rows, or gives a result for every row."""
    metadata = {**metadata, key: value}
    try:
        connection.execute("SELECT spocdb.filter_path(%s)", [Jsonb([[key, operator, value]])])
    except (psycopg.errors.InvalidName, psycopg.errors.InvalidRegularExpression):
        return
    row = connection.execute(FINDS, [Jsonb(metadata), Jsonb([[key, operator, value]])]).fetchone()
    equal = operator in ("=", "<=", ">=") or (operator, value) == ("exists", True)
    assert row == (True,) or not equal
    assert row == (False,) or operator not in ("!=", "<", ">")


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ("text", 'a filter is an object or a list of conditions, not "text"'),
        (5, "a filter is an object or a list of conditions, not 5"),
        (["year"], '"year" is no condition'),
        ([["year"]], "is no condition"),
        ([[[], "=", 1]], "is no condition"),
        ([[["a", 1], "=", 1]], "is no condition"),
        ([[None, "=", 1]], "is no condition"),
        ([["year", "=", 1, 2]], "is no condition"),
        ([["year", "=>", 1]], "there is no operator =>"),
        ([["year", None, 1]], "there is no operator null"),
        ([["year", "="]], "has no value"),
        ([["year", "<", True]], "< compares with a number or a text, not with true"),
        ([["year", ">=", [1]]], r">= compares with a number or a text, not with \[1\]"),
        ([["year", "in", 1]], "in takes a list of 1 to 1,000 values"),
        ([["year", "in", []]], "in takes a list"),
        ([["year", "in", [*range(1001)]]], "in takes a list"),
        ([["gps", "exists", "no"]], 'exists takes true or false, not "no"'),
        ([["name", "~", 5]], "~ takes a regular expression"),
        ([["name", "~", r"(a*)*\1"]], "without back-references"),
        ([["name", "~", "(a"]], "invalid regular expression"),
        ([["taken", ">", "2023-05-01T10:00Z"]], "time '2023-05-01T10:00Z' has an offset: times"),
    ],
    ids=str,
)
def test_what_is_no_filter_is_a_clear_error(
    connection: connections.Connection, filter: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message), connections.wrapped():
        connection.execute("SELECT spocdb.filter_path(%s)", [Jsonb(filter)])


@pytest.mark.parametrize(
    ("filter", "n_matching", "method"),
    [
        ([["n", ">", 4900]], 100, "exact"),
        ([["n", "<=", 4999], ["even", "=", True]], 2499, "exact"),
        ([["shop", "in", ["shop 7", "shop 8"]], ["n", ">", 2500]], 50, "exact"),
        ([["shop", "~", "[78]$"], {"even": True}], 500, "exact"),
        ([["shop", "exists", False]], 0, "exact"),
        ([], 5000, "hnsw"),
    ],
)
def test_conditions_give_k_rows_if_there_are_k(
    gallery: Database, gallery_queries: Float32Array, filter: Json, n_matching: int, method: str
) -> None:
    statement = """
        SELECT metadata, method, distance
        FROM spocdb.search('photos', spocdb.embed('photos', %s), %s, %s)
    """
    query = Vector(gallery_queries[0])
    for k in (1, 60):
        rows = gallery.connection.execute(statement, [query, k, Jsonb(filter)]).fetchall()
        assert len(rows) == min(k, n_matching)
        assert {row[1] for row in rows} <= {method}
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)
        finds = "SELECT bool_and(m @@ spocdb.filter_path(%s)) FROM unnest(%s::jsonb[]) m"
        found = gallery.connection.execute(finds, [Jsonb(filter), [Jsonb(r[0]) for r in rows]])
        assert not rows or found.fetchone() == (True,)


@pytest.mark.parametrize(
    ("filter", "looked_up"),
    [
        ({"shop": "shop 7"}, True),
        ([["shop", "=", "shop 7"]], True),
        ([["shop", "in", ["shop 7", "shop 8"]]], True),
        ([["shop", "=", "shop 7"], ["n", ">", 10]], True),
        ([["n", ">", 10]], False),
    ],
)
def test_equality_is_looked_up_in_the_index(
    gallery: Database, filter: Json, looked_up: bool
) -> None:
    gallery.connection.execute("ANALYZE spocdb.images")
    gallery.connection.execute("SET enable_seqscan = off")
    statement = "SELECT FROM spocdb.images WHERE metadata @@ spocdb.filter_path(%s)"
    shown = gallery.connection.execute(f"EXPLAIN ANALYZE {statement}", [Jsonb(filter)]).fetchall()
    entries = re.findall(r"on images_metadata .*actual.* rows=([0-9]+)", str(shown)) or [5000]
    # Without a key to look up, all 5000 entries would be read, and those of dead rows.
    assert (int(entries[0]) < 1000) == looked_up


MISSING = [
    ("kinds=1", "no image has the key kinds; there are even, n, shop"),
    ("n>5 and kinds exists", "no image has the key kinds; there are even, n, shop"),
    ("kinds!=1", "no image has the key kinds; there are even, n, shop"),
    ("n.x=1", "no image has the key n.x; there are none"),
    ('n="17"', "no image has a text as n; there are numbers such as 1"),
    ("shop<5", 'no image has a number as shop; there are texts such as "shop 0"'),
    ('even in ["a"]', "no image has a list or text as even; there are truth values such as false"),
]


@pytest.mark.parametrize(("filter", "line"), MISSING)
def test_why_a_filter_finds_nothing_is_said(
    gallery: Database, filter: str, line: str, said: list[str]
) -> None:
    assert gallery.similar(1, filter=filter) == []
    assert said == [line]
    assert list(gallery.images(filter)) == []
    assert gallery.count(filter) == 0
    assert said == [line] * 3


def test_a_filter_that_could_find_something_is_not_talked_about(
    gallery: Database, said: list[str]
) -> None:
    assert gallery.similar(1, filter="n>6000") == []
    assert gallery.similar(1, filter={"shop": "none"}) == []
    assert said == []
    # No image has this key, so all match, perhaps because it is misspelled.
    assert len(gallery.similar(1, 3, filter="nn exists false")) == 3
    assert said == ["no image has the key nn; there are even, n, shop"]


def test_why_is_a_warning_of_the_module_that_knows_it(
    gallery: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert gallery.similar(1, filter={"kinds": "shoe"}) == []
    assert caplog.record_tuples == [
        (
            "spocdb.db.metadata",
            logging.WARNING,
            "no image has the key kinds; there are even, n, shop",
        )
    ]


def test_the_keys_that_are_named_are_bounded_and_spelled(
    db: Database, add_images: AddImages, clustered: Callable[..., Float32Array], said: list[str]
) -> None:
    add_images(db.connection, clustered(3))
    said.clear()
    # Once, whatever else is asked for.
    assert db.count("kind=shoe and year=1") == 0
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = (SELECT jsonb_object_agg('key ' || n, 1) "
        'FROM generate_series(100, 129) n) || \'{"a.b": {"c": 1}}\''
    )
    assert db.count("kind=shoe") == 0
    assert db.count('"a.b".d=1') == 0
    assert said[0] == "no image has any metadata"
    assert said[1].startswith('no image has the key kind; there are "a.b", "key 100", "key 101", ')
    assert said[1].endswith('"key 118" and 11 more')
    assert said[2] == 'no image has the key "a.b".d; there are "a.b".c'
