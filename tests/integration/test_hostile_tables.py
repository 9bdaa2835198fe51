"""Attached tables whose owner would run code with the rights of spocdb's owner, a superuser here.

Every trap increments a sequence, which no rollback undoes. At its end each test triggers its trap
once, to prove that it works.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from spocdb.errors import ConfigError, SourceBroken

ROOT = Path(__file__).parents[2]
BODY = "LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('public.sprung'); RETURN {}; END $$;"
TRAPS = f"""
CREATE SEQUENCE sprung;
GRANT ALL ON sprung TO PUBLIC;
CREATE FUNCTION settled(integer) RETURNS integer {BODY.format("$1")}
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE FUNCTION as_json(mood) RETURNS json {BODY.format("'1'")}
CREATE FUNCTION as_text(mood) RETURNS text {BODY.format("'happy'")}
CREATE CAST (mood AS json) WITH FUNCTION as_json(mood);
CREATE CAST (mood AS text) WITH FUNCTION as_text(mood) AS IMPLICIT;
CREATE DOMAIN checked AS text CHECK (settled(length(VALUE)) > 0);
CREATE TYPE pair AS (first mood, second text);
CREATE FUNCTION as_json(pair) RETURNS json {BODY.format("'1'")}
CREATE CAST (pair AS json) WITH FUNCTION as_json(pair);
CREATE TYPE moods AS RANGE (subtype = mood);
"""


@pytest.fixture
def as_trapper(trapper: str, shop: Any) -> Any:
    """Return a function that runs SQL as the table's owner; the test's end removes its traps."""
    shop.execute(SQL("GRANT CREATE ON SCHEMA public TO {}").format(Identifier(trapper)))
    shop.execute(SQL("ALTER TABLE products OWNER TO {}").format(Identifier(trapper)))
    with psycopg.connect(shop.db.url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {trapper}")
        connection.execute(TRAPS)

        def execute(statements: str) -> None:
            connection.execute(statements)
            connection.execute("ALTER SEQUENCE sprung RESTART")

        yield execute


def is_sprung(shop: Any) -> bool:
    return bool(shop.execute("SELECT is_called FROM sprung").fetchone()[0])


AsTrapper = Callable[[str], None]

# A type, a value of it, and statements with a column of it.
TYPES = [
    ("mood", "'happy'::mood", "SELECT jsonb_build_object('name', name) FROM products"),
    ("mood[]", "'{happy}'::mood[]", "SELECT to_jsonb(name) FROM products"),
    ("checked", "'happy'::checked", "SELECT name::text::checked FROM products"),
    ("pair", "ROW('happy', 'x')::pair", "SELECT jsonb_build_object('name', name) FROM products"),
    ("moods", "moods('happy', 'sad')", "SELECT lower(name)::text FROM products"),
]


@pytest.mark.parametrize(("type_", "value", "spring"), TYPES)
def test_no_cast_of_a_type_that_others_made_runs(
    as_trapper: AsTrapper, shop: Any, type_: str, value: str, spring: str
) -> None:
    shop.attach(metadata=["name"])
    as_trapper(f"ALTER TABLE products ALTER name TYPE {type_} USING {value}")
    with pytest.raises(SourceBroken, match=r"products\.name is of type public\..*attach.* again"):
        shop.work()
    (coverage,) = shop.db.tables.coverage()
    assert "not one of PostgreSQL's own" in str(coverage.problem)
    with pytest.raises(
        ConfigError, match=r"not one of PostgreSQL's own: give \S+ a column of text"
    ):
        shop.attach(metadata=["name"])
    # The application goes on to write, which triggers no trap either.
    shop.execute("DELETE FROM products WHERE id = 6")
    shop.execute("UPDATE products SET photo = NULL WHERE id = 5")
    shop.attach()
    shop.work()
    assert shop.found() == ["1", "2", "3", "4"]
    assert not is_sprung(shop)
    shop.execute(spring)
    assert is_sprung(shop)


ATTACHMENTS: list[tuple[dict[str, Any], str]] = [
    ({"key": "name"}, "a key is an integer, a uuid or text"),
    ({"image": "name"}, r"products\.name is (neither text|of type)"),
    ({"metadata": ["name"]}, r"products\.name is of type"),
    ({"condition": "name = 'happy'"}, r"products\.name is of type"),
    ({"condition": "name::text = 'happy'"}, r"products\.name is of type"),
    ({"condition": "name IS NOT NULL"}, r"products\.name is of type"),
]


@pytest.mark.parametrize("type_", ["mood", "checked"])
def test_no_column_of_such_a_type_is_attached(as_trapper: AsTrapper, shop: Any, type_: str) -> None:
    as_trapper(f"ALTER TABLE products ALTER name TYPE {type_} USING 'happy'::{type_}")
    for options, message in ATTACHMENTS:
        with pytest.raises(ConfigError, match=message):
            shop.attach(**options)
    assert not is_sprung(shop)


@pytest.mark.parametrize(
    ("column", "type_"),
    [("id", "checked"), ("photo", "mood"), ("photo", "checked"), ("shown", "mood")],
)
def test_nor_is_one_read_that_got_it_later(
    as_trapper: AsTrapper, shop: Any, column: str, type_: str
) -> None:
    as_trapper("ALTER TABLE products ADD shown text DEFAULT 'happy'")
    shop.attach(condition="shown = 'happy'")
    keyless = "ALTER TABLE products DROP CONSTRAINT products_pkey;" if column == "id" else ""
    as_trapper(
        f"{keyless} ALTER TABLE products ALTER {column} DROP DEFAULT, "
        f"ALTER {column} TYPE {type_} USING 'happy'::{type_}"
    )
    with pytest.raises(SourceBroken, match=rf"products\.{column} is of type public\.{type_}"):
        shop.work()
    assert shop.db.tables.coverage()[0].rows is None
    assert not is_sprung(shop)


# Code that the planner or the executor runs when a table is only read.
LATER = [
    (
        "CREATE INDEX trap ON products ((id + settled(1)))",
        r"index public\.trap calls public\.settled",
    ),
    (
        "CREATE INDEX trap ON products (id) WHERE settled(1) > 0",
        r"index public\.trap calls public\.settled",
    ),
    (
        "CREATE OPERATOR @@@ (RIGHTARG = integer, FUNCTION = settled); "
        "CREATE INDEX trap ON products ((id + (@@@ 1)))",
        r"index public\.trap calls public\.settled",
    ),
    (
        "CREATE STATISTICS trap ON (id + settled(1)), name FROM products",
        r"statistics object (public\.)?trap calls public.settled",
    ),
    ("CREATE TABLE trap (CHECK (settled(1) > 0)) INHERITS (products)", "come by another table"),
    (
        "CREATE TABLE trap (LIKE products) PARTITION BY RANGE (settled(id)); "
        "ALTER TABLE trap ATTACH PARTITION products DEFAULT",
        "come by another table",
    ),
]


@pytest.mark.parametrize(("made", "message"), LATER)
def test_no_function_of_an_index_or_of_a_child_runs(
    as_trapper: AsTrapper, shop: Any, made: str, message: str
) -> None:
    shop.attach()
    as_trapper(made)
    with pytest.raises(SourceBroken, match=message):
        shop.work()
    assert "by another" in message or message[:5] in str(shop.db.tables.coverage()[0].problem)
    with pytest.raises(ConfigError, match=message):
        shop.attach()
    assert not is_sprung(shop)


def test_planning_does_run_what_an_index_calls(as_trapper: AsTrapper, shop: Any) -> None:
    """The attack that the check prevents; a superuser's function is allowed."""
    as_trapper("CREATE INDEX trap ON products ((id + settled(1)))")
    shop.execute("SELECT photo FROM products")
    assert is_sprung(shop)
    shop.execute("ALTER FUNCTION settled(integer) OWNER TO CURRENT_USER")
    shop.attach()
    assert shop.work().n_new == 6


def test_neither_checks_nor_policies_run(as_trapper: AsTrapper, shop: Any) -> None:
    shop.attach()
    as_trapper(
        "ALTER TABLE products ADD CHECK (settled(1) > 0); "
        "CREATE POLICY trap ON products USING (settled(id) > 0); "
        "ALTER TABLE products ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    )
    (name,) = shop.execute("SELECT current_database()").fetchone()
    shop.execute(SQL("ALTER DATABASE {} SET constraint_exclusion = on").format(Identifier(name)))
    assert shop.work().n_new == 6
    assert not is_sprung(shop)
    shop.execute("SET constraint_exclusion = on")
    shop.execute("SELECT photo FROM products WHERE id = 1")
    assert is_sprung(shop)


def test_a_view_in_the_place_of_the_table_is_not_read(as_trapper: AsTrapper, shop: Any) -> None:
    shop.attach()
    as_trapper(
        "ALTER TABLE products RENAME TO gone; "
        "CREATE VIEW products AS SELECT settled(id) AS id, photo, name FROM gone"
    )
    assert shop.work().n_new == 6
    assert not is_sprung(shop)
    shop.execute("SELECT * FROM products")
    assert is_sprung(shop)


def test_what_the_docs_advise_for_an_enum_and_a_domain(shop: Any) -> None:
    text = (ROOT / "docs" / "how-to" / "roles.md").read_text()
    (advice,) = re.findall(r"```sql\n(ALTER TABLE products ADD colour_text.*?)```", text, re.DOTALL)
    shop.execute(
        "CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE DOMAIN sku AS text; "
        "ALTER TABLE products ADD colour colour DEFAULT 'blue', ADD sku sku DEFAULT 'x-1'"
    )
    shop.execute(advice)
    shop.attach(metadata=["colour_text", "sku_text"], condition="colour_text = 'blue'")
    assert shop.work().n_new == 6
    shop.execute("UPDATE products SET colour = 'red' WHERE id = 1")
    assert shop.work().n_pruned == 1
    assert shop.execute("SELECT DISTINCT metadata FROM spocdb.products").fetchall() == [
        ({"colour_text": "blue", "sku_text": "x-1"},)
    ]


def test_a_column_that_no_trigger_is_told_of_is_refused(shop: Any) -> None:
    if shop.db.connection.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    shop.execute("ALTER TABLE products ADD loud text GENERATED ALWAYS AS (upper(name)) VIRTUAL")
    for options in ({"metadata": ["loud"]}, {"condition": "loud <> 'X'"}):
        with pytest.raises(ConfigError, match="loud is a virtual column"):
            shop.attach(**options)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (r'{"a":"x\u0000y", "\u0000\u0000": [1.50]}', {"a": "x\ufffdy", "\ufffd\ufffd": [1.5]}),
        # A backslash and the text u0000, then a backslash and a zero byte.
        (r'["\\u0000", "\\\u0000", "\\ud800"]', ["\\u0000", "\\\ufffd", "\\ud800"]),
        (r'["\ud83d\ude00", "\ud83dx", "x\uDE00"]', ["\U0001f600", "\ufffdx", "x\ufffd"]),
        (r'["\ud800\ud800", "\udc00\udc00"]', ["\ufffd\ufffd", "\ufffd\ufffd"]),
    ],
)
def test_json_that_jsonb_refuses_fails_no_row(shop: Any, written: str, stored: Any) -> None:
    shop.execute("ALTER TABLE products ADD said json, ADD more json[]")
    shop.execute("UPDATE products SET said = %s, more = ARRAY[%s::json]", [written, written])
    shop.attach(metadata=["said", "more", "name"])
    assert shop.work().n_new == 6
    found = shop.execute("SELECT metadata FROM spocdb.products WHERE id = 1").fetchone()
    assert found == ({"said": stored, "more": [stored], "name": "shoe 1"},)
