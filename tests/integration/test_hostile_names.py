"""Names and keys that need quoting, and conditions that try an injection."""

from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from spocdb.errors import ConfigError

NAMES = [
    'say "x"',
    "it's",
    "$trigger$ $body$ $$",
    "100% %I %1$I %s",
    "x;-- DROP",
    "back\\slash \\n",
    "Upper Case",
    "größe 靴",
    "n" * 63,
    "é" * 31,
    "select",
    "user",
    "most",
    "changed",
    "new_rows",
    "old_rows",
    "keys",
    "collection_id",
    "embedding",
    "metadata",
    "path",
    "t",
    "{}",
    "new\nline",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(shop: Any, name: str) -> None:
    """Schema, table and collection have the same name, and each column a similar one."""
    columns = [name.encode()[:60].decode(errors="ignore") + c for c in "kimc"]
    if name in ("most", "changed", "user", "keys", "select", "t"):
        columns = ["id", "image", "note", name]
    quoted = Identifier(name)
    key, image, note, condition = (Identifier(column) for column in columns)
    names = {"s": quoted, "k": key, "i": image, "m": note, "c": condition}
    for statement in (
        "CREATE SCHEMA {s}",
        "CREATE TABLE {s}.{s} ({k} integer PRIMARY KEY, {i} text, {m} text, {c} integer)",
        "INSERT INTO {s}.{s} SELECT id, photo, name, 1 FROM products WHERE id < 4",
    ):
        shop.execute(SQL(statement).format(**names))
    relation = SQL("{s}.{s}").format(**names).as_string(shop.db.connection)
    where = SQL("{c} > 0").format(**names).as_string(shop.db.connection)
    attached = shop.attach(relation, *columns[:2], metadata=[columns[2]], condition=where)
    assert attached == name
    assert shop.work().n_new == 3
    for statement in (
        "INSERT INTO {s}.{s} VALUES (7, '0004.jpg', 'x', 1), (8, '0005.jpg', 'y', 0)",
        "UPDATE {s}.{s} SET {m} = 'boot' WHERE {k} = 1",
        "UPDATE {s}.{s} SET {c} = -1 WHERE {k} = 2",
        "DELETE FROM {s}.{s} WHERE {k} = 3",
    ):
        shop.execute(SQL(statement).format(**names))
    assert sorted(map(str, shop.execute("SELECT keys FROM spocdb.source_changes"))) == [
        "(['1'],)",
        "(['2'],)",
        "(['7', '8'],)",
    ]
    shop.work()
    assert shop.found(name) == ["1", "7"]
    query = SQL("SELECT p.{m}, s.metadata FROM {s}.{s} p JOIN spocdb.{s} s USING ({k}) ORDER BY 1")
    if columns[0] in ("embedding", "metadata"):
        return
    rows = shop.execute(query.format(**names)).fetchall()
    assert rows == [("boot", {columns[2]: "boot"}), ("x", {columns[2]: "x"})]
    assert shop.db.similar(1, collection=name)[0].path == "7"
    assert shop.execute("SELECT key FROM spocdb.similar_rows(%s, 7)", [name]).fetchall() == [("1",)]
    (written,) = shop.execute("SELECT %s::regclass::text", [relation]).fetchone()
    assert {c.relation for c in shop.db.tables.coverage(name)} == {written}
    shop.db.tables.detach(name)


LONG = 1500 * "x"


@pytest.mark.parametrize("kind", ["text", "varchar", "varchar(2000)"])
def test_keys_of_text_may_be_anything(shop: Any, kind: str) -> None:
    keys = ["", " ", "'", '"', "a\nb", "{a,b}", "NULL", "%s", "\\", "靴", LONG, LONG + "y"]
    shop.execute(f"CREATE TABLE goods (id {kind} PRIMARY KEY, photo text)")
    for key in keys[:6]:
        shop.execute("INSERT INTO goods VALUES (%s, '0000.jpg')", [key])
    shop.attach("goods")
    for key in keys[6:]:
        shop.execute("INSERT INTO goods VALUES (%s, '0001.jpg')", [key])
    shop.work()
    assert sorted(shop.found("goods")) == sorted(keys)
    joined = "SELECT id FROM goods JOIN spocdb.goods s USING (id)"
    assert sorted(row[0] for row in shop.execute(joined)) == sorted(keys)
    similar = "SELECT key FROM spocdb.similar_rows('goods', %s, 1)"
    assert shop.execute(similar, [LONG]).fetchone()[0] in keys
    shop.execute("DELETE FROM goods WHERE id IN ('', %s)", [LONG])
    assert sorted(shop.found("goods")) == sorted({*keys} - {"", LONG})


@pytest.mark.parametrize("first", [True, False])
def test_a_key_that_is_too_long_is_a_failure(shop: Any, first: bool) -> None:
    """The key is older than the attachment, or comes later."""
    shop.execute("CREATE TABLE goods (id text PRIMARY KEY, photo text)")
    # PostgreSQL compresses keys of an index, so that a repetitive one may be longer.
    insert = "INSERT INTO goods VALUES ('a', '0001.jpg'), (%s, '0000.jpg')"
    if first:
        shop.execute(insert, ["z" * 5000])
    shop.attach("goods")
    if not first:
        shop.execute(insert, ["z" * 5000])
    shop.work()
    assert shop.found("goods") == ["a"]
    (failure,) = shop.db.failures("goods")
    assert failure.path.startswith("zzz") and failure.message.startswith("a key may have")
    (coverage,) = shop.db.tables.coverage("goods")
    assert (coverage.rows, coverage.embedded, coverage.failed) == (2, 1, 1)
    shop.execute("DELETE FROM goods WHERE id <> 'a'")
    shop.work()
    assert list(shop.db.failures("goods")) == []


@pytest.mark.parametrize("kind", ["uuid", "smallint", "integer", "bigint"])
def test_keys_that_are_not_text(shop: Any, kind: str) -> None:
    made = "gen_random_uuid()" if kind == "uuid" else f"id::{kind} - 3"
    shop.execute(f"ALTER TABLE products ALTER id TYPE {kind} USING {made}")
    shop.attach()
    shop.work()
    rows = shop.execute("SELECT id FROM products p JOIN spocdb.products s USING (id)").fetchall()
    assert len(rows) == 6
    row = rows[0]
    assert (
        len(shop.execute("SELECT * FROM spocdb.similar_rows('products', %s)", row).fetchall()) == 5
    )
    shop.execute("DELETE FROM products WHERE id = %s", row)
    assert len(shop.found()) == 5


@pytest.mark.parametrize("pool_size", [1])
@pytest.mark.parametrize(
    ("made", "relation", "message"),
    [
        ("CREATE TABLE x (id int, photo text, PRIMARY KEY (id, photo))", "x", "composite keys"),
        ("CREATE TABLE x (id int UNIQUE, photo text)", "x", "NOT NULL and UNIQUE"),
        ("CREATE TABLE x (id int NOT NULL, photo text)", "x", "NOT NULL and UNIQUE"),
        ("CREATE TABLE x (id int PRIMARY KEY DEFERRABLE, photo text)", "x", "NOT NULL and UNIQUE"),
        ("CREATE TABLE x (id date PRIMARY KEY, photo text)", "x", "an integer, a uuid or text"),
        ("CREATE TABLE x (id int PRIMARY KEY, photo int)", "x", "neither text nor bytea"),
        (
            "CREATE TABLE x (id int PRIMARY KEY, pic text)",
            "x",
            "x has no column photo: it has id, pic",
        ),
        ("CREATE VIEW x AS SELECT * FROM products", "x", "x is no ordinary table"),
        ("CREATE MATERIALIZED VIEW x AS SELECT * FROM products", "x", "no ordinary table"),
        ("CREATE TEMP TABLE x (id int PRIMARY KEY, photo text)", "x", "no ordinary table"),
        ("SELECT 1", "pg_catalog.pg_class", "no ordinary table"),
        ("SELECT 1", "spocdb.images", "no ordinary table"),
        ("SELECT 1", "information_schema.sql_features", "no ordinary table|no column"),
        ("SELECT 1", "nothing", "there is no table nothing"),
    ],
)
def test_what_is_no_table_with_a_key_is_refused(
    shop: Any, made: str, relation: str, message: str
) -> None:
    with shop.db.engine.connection() as connection:
        # The pool has no other connection, so the next call finds its temporary table.
        connection.execute(made)
    with pytest.raises(ConfigError, match=message) as raised:
        shop.attach(relation)
    assert "\n" not in str(raised.value)
    assert shop.db.collections() == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("id > (SELECT max(id) FROM public.other)", "reads public.other too"),
        ("unknown = 1", 'cannot be used: column "unknown" does not exist'),
        ("id", "cannot be used: argument of AND must be type boolean"),
        ("", "cannot be used: syntax error"),
        ("true) OR (id = 1", "cannot be used: syntax error"),
        ("true); DROP TABLE public.other; --", "cannot be used"),
        ("true)); DROP TABLE public.other; --", "cannot be used"),
        ("true); INSERT INTO public.other VALUES (1); SELECT (true", "cannot be used"),
        ("true)); INSERT INTO public.other VALUES (1); SELECT ((true", "cannot be used"),
        ("true) UNION SELECT (NULL", "cannot be used"),
        ("true) LIMIT (1", "cannot be used"),
        ("true) GROUP BY (1", "cannot be used"),
        ("$1 IS NULL", "cannot be used"),
        ("'a' = 'b", "cannot be used: unterminated"),
        ("count(*) > 1", "cannot be used: aggregate functions"),
    ],
)
def test_a_condition_is_one_expression_about_the_table(
    shop: Any, condition: str, message: str
) -> None:
    shop.execute("CREATE TABLE other (id integer)")
    with pytest.raises(ConfigError, match=message) as raised:
        shop.attach(condition=condition)
    assert "\n" not in str(raised.value)
    assert shop.execute("SELECT count(*) FROM other").fetchone() == (0,)
    assert shop.db.collections() == []


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("id > 4 -- yes", ["5", "6"]),
        ("id > 4 /* yes */", ["5", "6"]),
        ("name LIKE '%5' OR name = E'shoe\\x206'", ["5", "6"]),
        ("t.id IN (5, 6)", ["5", "6"]),
        ("name = 'it''s %s %% %I' OR id = 5 OR id = 6", ["5", "6"]),
    ],
)
def test_a_condition_may_be_any_such(shop: Any, condition: str, found: list[str]) -> None:
    shop.attach(condition=condition)
    shop.work()
    assert shop.found() == found
    assert shop.db.tables.coverage()[0].rows == len(found)


@pytest.mark.parametrize(
    "name", ["images_key_1", "embeddings_1_1", "queue", "coverage", "images", "x" * 64, " " * 64]
)
def test_a_name_that_a_table_of_spocdb_has_or_will_need_is_refused(shop: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=r"choose another$"):
        shop.attach(collection=name)
