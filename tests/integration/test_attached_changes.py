"""What an application does to its table: no write fails, and the collection follows."""

from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from spocdb.db import engine
from spocdb.errors import ConfigError, SourceBroken

ALL = ["1", "2", "3", "4", "5", "6"]


@pytest.fixture
def embedded(shop: Any) -> Any:
    """Return the shop, attached and embedded."""
    shop.attach(metadata=["name"], condition="id < 1000")
    assert shop.work().n_new == 6
    assert (shop.found(), shop.waiting()) == (ALL, [])
    return shop


@pytest.mark.parametrize(
    ("statement", "noted"),
    [
        ("INSERT INTO products VALUES (7, '0000.jpg')", [["7"]]),
        ("INSERT INTO products SELECT n FROM generate_series(7, 9) n", [["7", "8", "9"]]),
        ("INSERT INTO products SELECT n FROM generate_series(7, 6) n", []),
        ("UPDATE products SET photo = '0001.jpg' WHERE id = 1", [["1"]]),
        ("UPDATE products SET photo = NULL WHERE id = 1", [["1"]]),
        ("UPDATE products SET name = 'boot' WHERE id IN (1, 2)", [["1"], ["2"]]),
        ("UPDATE products SET id = 2000 WHERE id = 1", [["2000"]]),
        ("UPDATE products SET stock = 7, photo = photo, name = name, id = id", []),
        ("DELETE FROM products WHERE id = 1", []),
        (
            "INSERT INTO products VALUES (1, '0005.jpg'), (7, '0000.jpg') "
            "ON CONFLICT (id) DO UPDATE SET photo = excluded.photo",
            [["1"], ["7"]],
        ),
        ("INSERT INTO products VALUES (1, '0005.jpg') ON CONFLICT DO NOTHING", []),
        (
            "WITH d AS (DELETE FROM products WHERE id = 1 RETURNING *) "
            "INSERT INTO products SELECT id + 10, photo FROM d",
            [["11"]],
        ),
    ],
)
def test_a_statement_notes_the_rows_that_it_changed(
    embedded: Any, statement: str, noted: list[list[str]]
) -> None:
    embedded.execute("ALTER TABLE products ADD COLUMN stock integer")
    embedded.execute(statement)
    assert sorted(embedded.waiting()) == noted


def test_copy_and_merge_are_statements_like_others(embedded: Any) -> None:
    with embedded.db.connection.cursor().copy("COPY products (id, photo) FROM STDIN") as copy:
        for n in range(10, 13):
            copy.write_row((n, "0000.jpg"))
    assert embedded.waiting() == [["10", "11", "12"]]
    if embedded.db.connection.info.server_version < 150000:
        return
    embedded.execute(
        "MERGE INTO products p USING (VALUES (1), (2), (20)) AS n (id) ON n.id = p.id "
        "WHEN MATCHED AND n.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET photo = '0003.jpg' "
        "WHEN NOT MATCHED THEN INSERT (id, photo) VALUES (n.id, '0004.jpg')"
    )
    assert sorted(embedded.waiting()) == [["2"], ["20"]]
    assert embedded.found() == ALL[1:]


def test_what_is_deleted_is_gone_at_once_and_back_after_a_rollback(embedded: Any) -> None:
    connection = embedded.db.connection
    for statement, left in (
        ("DELETE FROM products WHERE id < 3", ALL[2:]),
        ("UPDATE products SET id = id + 100 WHERE id < 3", ALL[2:]),
        ("TRUNCATE products", []),
    ):
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
            assert embedded.found() == left
            seen = connection.execute("SELECT id::text FROM spocdb.products ORDER BY 1").fetchall()
            assert [row[0] for row in seen] == left
        assert embedded.found() == ALL
        assert len(embedded.db.similar(1, 5)) == 5


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM products WHERE id = 7",
        "UPDATE products SET id = 8 WHERE id = 7",
        "TRUNCATE products",
    ],
)
def test_a_transaction_that_cannot_see_the_embedding_leaves_none_behind(
    embedded: Any, level: str, statement: str
) -> None:
    embedded.execute("INSERT INTO products VALUES (7, '0000.jpg')")
    with engine.connect(embedded.db.url) as application:
        application.autocommit = False
        application.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        application.execute("SELECT count(*) FROM pg_class")
        embedded.work()
        assert "7" in embedded.found()
        application.execute(statement)
        application.commit()
    embedded.work()
    rows = embedded.execute("SELECT id::text FROM products ORDER BY 1").fetchall()
    assert embedded.found() == [row[0] for row in rows]


def test_images_in_the_table_itself(shop: Any) -> None:
    shop.execute("CREATE TABLE pictures (id bigint PRIMARY KEY, image bytea, note text, stock int)")
    photos = [(shop.folder / f"000{n}.jpg").read_bytes() for n in range(3)]
    for n, photo in enumerate(photos):
        shop.execute("INSERT INTO pictures VALUES (%s, %s)", [n, photo])
    shop.attach("pictures", image="image", root=None, metadata=["note"])
    assert shop.work().n_new == 3
    for statement, noted in (
        ("INSERT INTO pictures SELECT 3, image FROM pictures WHERE id = 0", [["3"]]),
        ("INSERT INTO pictures SELECT n FROM generate_series(4, 5) n", [["4"], ["5"]]),
        ("UPDATE pictures SET stock = 1", []),
        ("UPDATE pictures SET image = image, note = note", []),
        (
            "UPDATE pictures SET image = (SELECT image FROM pictures WHERE id = 1) WHERE id < 2",
            [["0"]],
        ),
        ("UPDATE pictures SET note = 'x' WHERE id = 2", [["2"]]),
        ("DELETE FROM pictures WHERE id = 2", []),
    ):
        shop.execute(statement)
        assert sorted(shop.waiting()) == noted, statement
    assert shop.found("pictures") == ["0", "1"]


def test_a_trigger_of_the_applications_own_that_changes_the_image_is_noticed(shop: Any) -> None:
    shop.execute(
        """
        CREATE TABLE pictures (id bigint PRIMARY KEY, source text, image bytea);
        CREATE FUNCTION resize() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.image := convert_to(NEW.source, 'utf-8'); RETURN NEW; END $$;
        CREATE TRIGGER resize BEFORE INSERT OR UPDATE ON pictures
            FOR EACH ROW EXECUTE FUNCTION resize();
        INSERT INTO pictures VALUES (1, 'a');
        """
    )
    shop.attach("pictures", image="image", root=None)
    shop.waiting()
    shop.execute("UPDATE pictures SET source = 'b'")
    assert shop.waiting() == [["1"]]


# What an application's migration may do, the writes that still must work, how it is attached again.
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
    embedded: Any, alteration: str, again: dict[str, str]
) -> None:
    embedded.execute(alteration)
    key, image = again.get("key", "id"), again.get("image", "photo")
    names = {"key": Identifier(key), "image": Identifier(image)}
    big = "3000000000" if "bigint" in alteration else "7"
    for statement in (
        "INSERT INTO products ({key}, {image}) VALUES (" + big + ", '0000.jpg')",
        "UPDATE products SET {image} = '0001.jpg' WHERE {key}::text = '2'",
        "DELETE FROM products WHERE {key}::text = '6'",
    ):
        embedded.execute(SQL(statement).format(**names))
    is_broken = again or "TYPE text" in alteration or "bigint" in alteration
    if is_broken:
        with pytest.raises(SourceBroken, match="run `spocdb attach` again") as raised:
            embedded.work()
        assert "\n" not in str(raised.value)
    metadata = [m for m in [again.get("metadata", "name")] if m]
    condition = None if "TYPE text" in alteration else f"{key} < 1000 OR {key} > 2000"
    embedded.attach(key=key, image=image, metadata=metadata, condition=condition)
    done = embedded.work()
    assert (done.n_new, done.n_failed) == (0, 0)
    assert embedded.found() == sorted([*ALL[:5], big])
    rows = embedded.execute(f"SELECT {key}::text FROM spocdb.products ORDER BY 1").fetchall()
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
        with pytest.raises(ConfigError, match=r"by another key.*: run `spocdb detach` first"):
            shop.attach(key=second)
        shop.db.tables.detach("products")
    shop.attach(key=second)
    shop.work()
    wanted = shop.execute(f"SELECT {second}::text FROM products ORDER BY 1").fetchall()
    assert shop.found() == [row[0] for row in wanted]
    joined = f"SELECT count(*) FROM products p JOIN spocdb.products s USING ({second})"
    assert shop.execute(joined).fetchone() == (7,)


def test_a_renamed_table_goes_on(embedded: Any) -> None:
    embedded.execute("CREATE SCHEMA old; ALTER TABLE products RENAME TO goods")
    embedded.execute("ALTER TABLE goods SET SCHEMA old")
    embedded.execute("INSERT INTO old.goods VALUES (7, '0000.jpg')")
    embedded.execute("DELETE FROM old.goods WHERE id = 1")
    assert embedded.work().n_reused == 1
    assert embedded.found() == [*ALL[1:], "7"]
    assert embedded.db.tables.coverage()[0].relation == "old.goods"


def test_a_dropped_table_is_said_to_be_gone_and_can_be_detached(embedded: Any) -> None:
    embedded.execute("INSERT INTO products VALUES (7, '0000.jpg')")
    embedded.execute("DROP TABLE products")
    with pytest.raises(SourceBroken, match=r"as it was attached \(it was dropped\)"):
        embedded.work()
    (coverage,) = embedded.db.tables.coverage()
    assert coverage.rows is None and coverage.problem
    embedded.execute("CREATE TABLE products (id integer PRIMARY KEY, photo text)")
    with pytest.raises(ConfigError, match="dropped"):
        embedded.attach()
    embedded.db.tables.detach("products")
    embedded.attach()


def test_metadata_of_types_without_equality(shop: Any) -> None:
    shop.execute("ALTER TABLE products ADD about json, ADD place point, ADD tags text[], ADD x xml")
    shop.execute("""UPDATE products SET about = '{"a": [1]}', place = '(1,2)', tags = '{b}'""")
    shop.attach(metadata=["about", "place", "tags", "x"])
    shop.work()
    shop.execute("UPDATE products SET about = about, place = place, tags = tags, x = x")
    assert shop.waiting() == []
    shop.execute("""UPDATE products SET about = '{"a": [2]}' WHERE id = 1""")
    shop.execute("UPDATE products SET place = '(3,4)' WHERE id = 2")
    assert shop.work().n_reused == 2
    statement = "SELECT metadata FROM spocdb.products WHERE id < 3 ORDER BY id"
    (first,), (second,) = shop.execute(statement).fetchall()
    assert (first["about"], second["place"], second["tags"]) == ({"a": [2]}, "(3,4)", ["b"])


def test_two_collections_of_one_table(embedded: Any) -> None:
    embedded.attach(collection="cheap", condition="id < 4")
    assert embedded.work().n_new == 0
    assert (embedded.found(), embedded.found("cheap")) == (ALL, ALL[:3])
    embedded.execute("DELETE FROM products WHERE id = 2")
    assert (embedded.found(), embedded.found("cheap")) == (["1", *ALL[2:]], ["1", "3"])
    embedded.db.tables.detach("products")
    embedded.execute("UPDATE products SET id = 2 WHERE id = 6")
    embedded.work()
    assert embedded.found("cheap") == ["1", "2", "3"]


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE child () INHERITS (parent)",
        "CREATE TABLE parted (LIKE parent) PARTITION BY RANGE (id); "
        "ALTER TABLE parted ATTACH PARTITION parent DEFAULT",
    ],
)
def test_tables_whose_rows_come_by_another_are_refused(shop: Any, made: str) -> None:
    """Rows written to a parent fire no trigger of statements on its children."""
    shop.execute("CREATE TABLE parent (id integer PRIMARY KEY, photo text)")
    shop.execute(made)
    with pytest.raises(ConfigError, match="has rows that come by another table"):
        shop.attach("parent")


def test_a_dropped_collection_takes_its_triggers_along(embedded: Any) -> None:
    embedded.db.drop("products")
    triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'products'::regclass"
    assert embedded.execute(triggers).fetchall() == []
    embedded.execute("INSERT INTO products VALUES (7); TRUNCATE products")
    left = "SELECT proname FROM pg_proc WHERE proname LIKE 'enqueue%'"
    assert embedded.execute(left).fetchall() == []
    with pytest.raises(psycopg.errors.UndefinedTable):
        embedded.execute("SELECT FROM spocdb.products")
