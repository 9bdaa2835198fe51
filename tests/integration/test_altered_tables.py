"""An attached table whose schema changes: no write fails, and attaching again repairs it."""

from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from spocdb.errors import ConfigError, SourceBroken

ALL = ["1", "2", "3", "4", "5", "6"]

# An application's migration, writes that still must work, and how the table is attached again.
ALTERATIONS: list[tuple[str, dict[str, str]]] = [
    ("ALTER TABLE products RENAME COLUMN photo TO picture", {"image": "picture"}),
    ("ALTER TABLE products RENAME COLUMN id TO sku", {"key": "sku"}),
    ("ALTER TABLE products ALTER COLUMN id TYPE text", {}),
    ("ALTER TABLE products ALTER COLUMN id TYPE bigint", {}),
    ("ALTER TABLE products ALTER COLUMN photo TYPE varchar(100)", {}),
    ("ALTER TABLE products RENAME COLUMN name TO title", {"metadata": "title"}),
    ("ALTER TABLE products DROP COLUMN name", {"metadata": ""}),
]


@pytest.mark.parametrize(("alteration", "again"), ALTERATIONS)
def test_an_altered_table_is_mended_by_attaching_it_again(
    stocked: Any, alteration: str, again: dict[str, str]
) -> None:
    stocked.execute(alteration)
    key, image = again.get("key", "id"), again.get("image", "photo")
    names = {"key": Identifier(key), "image": Identifier(image)}
    big = "3000000000" if "bigint" in alteration else "7"
    for statement in (
        "INSERT INTO products ({key}, {image}) VALUES (" + big + ", '0000.jpg')",
        "UPDATE products SET {image} = '0001.jpg' WHERE {key}::text = '2'",
        "DELETE FROM products WHERE {key}::text = '6'",
    ):
        stocked.execute(SQL(statement).format(**names))
    is_broken = again or "TYPE text" in alteration or "bigint" in alteration
    if is_broken:
        with pytest.raises(SourceBroken, match=r"run `db.tables.attach.* again") as raised:
            stocked.work()
        assert "\n" not in str(raised.value)
    metadata = [m for m in [again.get("metadata", "name")] if m]
    condition = None if "TYPE text" in alteration else f"{key} < 1000 OR {key} > 2000"
    stocked.attach(key=key, image=image, metadata=metadata, condition=condition)
    done = stocked.work()
    assert (done.n_new, done.n_failed) == (0, 0)
    assert stocked.found() == sorted([*ALL[:5], big])
    rows = stocked.execute(f"SELECT {key}::text FROM spocdb.products ORDER BY 1").fetchall()
    assert [row[0] for row in rows] == sorted([*ALL[:5], big])


@pytest.mark.parametrize("is_embedded", [True, False])
@pytest.mark.parametrize(
    ("first", "second"), [("id", "sku"), ("sku", "id"), ("code", "sku"), ("id", "code")]
)
def test_a_table_may_be_attached_again_by_another_key(
    shop: Any, first: str, second: str, is_embedded: bool
) -> None:
    shop.execute("ALTER TABLE products ADD sku text, ADD code uuid")
    shop.execute("UPDATE products SET sku = 'sku-' || id, code = gen_random_uuid()")
    for column in ("sku", "code"):
        shop.execute(f"ALTER TABLE products ALTER {column} SET NOT NULL, ADD UNIQUE ({column})")
    shop.attach(key=first)
    (target,) = shop.execute("SELECT id FROM spocdb.collections").fetchone()
    shop.execute("SELECT spocdb.take_in(%s)", [target])
    if is_embedded:
        shop.work()
    shop.execute("INSERT INTO products VALUES (7, '0000.jpg', NULL, 'sku-7', gen_random_uuid())")
    if is_embedded and second != "sku":
        with pytest.raises(ConfigError, match=r"with another key.*: run `spocdb.detach"):
            shop.attach(key=second)
        shop.db.tables.detach("products")
    shop.attach(key=second)
    shop.work()
    wanted = shop.execute(f"SELECT {second}::text FROM products ORDER BY 1").fetchall()
    assert shop.found() == [row[0] for row in wanted]
    joined = f"SELECT count(*) FROM products p JOIN spocdb.products s USING ({second})"
    assert shop.execute(joined).fetchone() == (7,)


def test_a_renamed_table_goes_on(stocked: Any) -> None:
    stocked.execute("CREATE SCHEMA old; ALTER TABLE products RENAME TO goods")
    stocked.execute("ALTER TABLE goods SET SCHEMA old")
    stocked.execute("INSERT INTO old.goods VALUES (7, '0000.jpg')")
    stocked.execute("DELETE FROM old.goods WHERE id = 1")
    assert stocked.work().n_reused == 1
    assert stocked.found() == [*ALL[1:], "7"]
    assert stocked.db.tables.coverage()[0].relation == "old.goods"


def test_a_dropped_table_is_said_to_be_gone_and_can_be_detached(stocked: Any) -> None:
    stocked.execute("INSERT INTO products VALUES (7, '0000.jpg')")
    stocked.execute("DROP TABLE products")
    with pytest.raises(SourceBroken, match=r"as it was attached \(it was dropped\)"):
        stocked.work()
    (coverage,) = stocked.db.tables.coverage()
    assert coverage.rows is None and coverage.problem
    stocked.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text)")
    with pytest.raises(ConfigError, match="dropped"):
        stocked.attach()
    stocked.db.tables.detach("products")
    stocked.attach()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE child () INHERITS (parent)",
        "CREATE TABLE parted (LIKE parent) PARTITION BY RANGE (id); "
        "ALTER TABLE parted ATTACH PARTITION parent DEFAULT",
    ],
)
def test_tables_whose_rows_come_by_another_are_refused(shop: Any, made: str) -> None:
    """Rows that are written to a parent fire no statement triggers of its children."""
    shop.execute("CREATE TABLE parent (id integer PRIMARY KEY, photo text)")
    shop.execute(made)
    with pytest.raises(ConfigError, match="has rows that come by another table"):
        shop.attach("parent")
