"""An application writes to its table: no write fails, and the collection follows."""

from typing import Any

import psycopg
import pytest

from spocdb.db import connections

ALL = ["1", "2", "3", "4", "5", "6"]


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
    stocked: Any, statement: str, noted: list[list[str]]
) -> None:
    stocked.execute("ALTER TABLE products ADD COLUMN stock integer")
    stocked.execute(statement)
    assert sorted(stocked.waiting()) == noted


def test_copy_and_merge_are_statements_like_others(stocked: Any) -> None:
    with stocked.db.connection.cursor().copy("COPY products (id, photo) FROM STDIN") as copy:
        for n in range(10, 13):
            copy.write_row((n, "0000.jpg"))
    assert stocked.waiting() == [["10", "11", "12"]]
    if stocked.db.connection.info.server_version < 150000:
        return
    stocked.execute(
        "MERGE INTO products p USING (VALUES (1), (2), (20)) AS n (id) ON n.id = p.id "
        "WHEN MATCHED AND n.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET photo = '0003.jpg' "
        "WHEN NOT MATCHED THEN INSERT (id, photo) VALUES (n.id, '0004.jpg')"
    )
    assert sorted(stocked.waiting()) == [["2"], ["20"]]
    assert stocked.found() == ALL[1:]


def test_what_is_deleted_is_gone_at_once_and_back_after_a_rollback(stocked: Any) -> None:
    connection = stocked.db.connection
    for statement, left in (
        ("DELETE FROM products WHERE id < 3", ALL[2:]),
        ("UPDATE products SET id = id + 100 WHERE id < 3", ALL[2:]),
        ("TRUNCATE products", []),
    ):
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
            assert stocked.found() == left
            seen = connection.execute("SELECT id::text FROM spocdb.products ORDER BY 1").fetchall()
            assert [row[0] for row in seen] == left
        assert stocked.found() == ALL
        assert len(stocked.db.similar(1, 5)) == 5


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
    stocked: Any, level: str, statement: str
) -> None:
    stocked.execute("INSERT INTO products VALUES (7, '0000.jpg')")
    with connections.connect(stocked.db.url) as application:
        application.autocommit = False
        application.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        application.execute("SELECT count(*) FROM pg_class")
        stocked.work()
        assert "7" in stocked.found()
        application.execute(statement)
        application.commit()
    stocked.work()
    rows = stocked.execute("SELECT id::text FROM products ORDER BY 1").fetchall()
    assert stocked.found() == [row[0] for row in rows]


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


def test_two_collections_of_one_table(stocked: Any) -> None:
    stocked.attach(collection="cheap", condition="id < 4")
    assert stocked.work().n_new == 0
    assert (stocked.found(), stocked.found("cheap")) == (ALL, ALL[:3])
    stocked.execute("DELETE FROM products WHERE id = 2")
    assert (stocked.found(), stocked.found("cheap")) == (["1", *ALL[2:]], ["1", "3"])
    stocked.db.tables.detach("products")
    stocked.execute("UPDATE products SET id = 2 WHERE id = 6")
    stocked.work()
    assert stocked.found("cheap") == ["1", "2", "3"]


def test_a_dropped_collection_takes_its_triggers_along(stocked: Any) -> None:
    stocked.db.drop("products")
    triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'products'::regclass"
    assert stocked.execute(triggers).fetchall() == []
    stocked.execute("INSERT INTO products VALUES (7); TRUNCATE products")
    left = "SELECT proname FROM pg_proc WHERE proname LIKE 'enqueue\\_%'"
    assert stocked.execute(left).fetchall() == []
    with pytest.raises(psycopg.errors.UndefinedTable):
        stocked.execute("SELECT FROM spocdb.products")
