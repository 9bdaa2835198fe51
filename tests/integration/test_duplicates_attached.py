"""Near-duplicates of an attached table, and who may see them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.errors import ConfigError
from tests.fixtures.program import Run


def test_a_reader_sees_the_groups_of_its_collection(
    granted: Any, roles: dict[str, str], log_in: Callable[[str], Any]
) -> None:
    for name in ("products", "secret"):
        granted.db.duplicates.find(name, distance=2)
    execute = log_in(roles["reader"]).execute
    own = "SELECT * FROM spocdb.duplicate_groups('products')"
    assert execute(own).fetchall() == granted.execute(own).fetchall() != []
    near = "SELECT * FROM spocdb.near_duplicates('products', 1)"
    assert execute(near).fetchall() == granted.execute(near).fetchall() != []
    for function in ("duplicate_groups('secret')", "near_duplicates('secret', 1)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not read collection"):
            execute(f"SELECT * FROM spocdb.{function}")


def test_a_worker_groups_the_rows_that_it_adds(
    granted: Any, roles: dict[str, str], spocdb: Run, url: str
) -> None:
    granted.db.duplicates.find("products")
    before = granted.db.duplicates.summary("products").n_images
    granted.execute("INSERT INTO products VALUES (7, '0002.jpg'), (8, '0002.jpg')")
    ran = spocdb("worker", "--once", "--db", make_conninfo(url, user=roles["worker"]))
    assert ran.returncode == 0, ran.stderr
    found = granted.db.duplicates.summary("products")
    assert found.n_due == 0 and found.n_images >= before + 2
    # Rows that go are noted, and the next turn sees to their groups.
    granted.execute("DELETE FROM products WHERE id > 6")
    assert spocdb("worker", "--once").returncode == 0
    assert granted.db.duplicates.summary("products").n_images == before
    with pytest.raises(ConfigError, match="its rows cannot be moved by a script"):
        granted.db.duplicates.export("move.sh", link=True, collection="products")


def groups(shop: Any) -> list[list[str]]:
    """Return the keys of each group's rows, the keeper first."""
    return [
        [image.path for image in (group.keeper, *group.others)]
        for group in shop.db.duplicates.groups("products")
    ]


def test_an_attached_table_from_the_first_find_to_the_export(
    stocked: Any, spocdb: Run, tmp_path: Path
) -> None:
    shop = stocked
    shop.execute(
        "INSERT INTO products VALUES (7, '0001.jpg', 'a copy'), (8, '0001.jpg', 'another')"
    )
    assert shop.work().n_reused == 2
    ran = spocdb("duplicates", "find", "products", "--keep", "oldest")
    assert ran.returncode == 0 and "1 group of 3 images" in ran.stdout, ran.stderr
    assert groups(shop) == [["2", "7", "8"]]
    ids = {image.path: image.id for image in shop.db.images(collection="products")}
    assert spocdb("duplicates", "decide", ids["3"], ids["4"], "same").returncode == 0
    assert groups(shop) == [["2", "7", "8"], ["3", "4"]]
    # A row gets another picture, one goes, and one comes that looks like a decided one.
    shop.execute("UPDATE products SET photo = '0005.jpg' WHERE id = 7")
    shop.execute("DELETE FROM products WHERE id = 3")
    shop.execute("INSERT INTO products VALUES (9, '0002.jpg', 'as 3 was')")
    shop.work()
    assert groups(shop) == [["2", "8"], ["4", "9"], ["6", "7"]]
    # An update of the metadata does no harm, and a search shows each group once.
    shop.execute("UPDATE products SET name = 'boot' WHERE id < 5")
    shop.work()
    ran = spocdb("search", "--key", 5, "--collapse", "--json")
    assert sorted(hit["path"] for hit in json.loads(ran.stdout)) == ["1", "2", "4", "6"]
    # Lists name the rows; scripts cannot move them.
    assert shop.db.duplicates.export(tmp_path / "copies.csv", collection="products") == 3
    rows = [*csv.DictReader((tmp_path / "copies.csv").read_text().splitlines())]
    assert sorted(row["path"] for row in rows) == ["2", "4", "6", "7", "8", "9"]
    # Rows with other metadata were stored again, so that they are the newest now.
    assert groups(shop) == [["6", "7"], ["8", "2"], ["9", "4"]]
    ran = spocdb("duplicates", "export", tmp_path / "move.sh", "--move-to", tmp_path / "x")
    assert ran.returncode == 1
    assert ran.stderr.rstrip().endswith("cannot be moved by a script: write move.csv")
    # The application joins the groups with its own table.
    found = shop.execute(
        "SELECT p.id FROM spocdb.duplicate_groups('products') g "
        "JOIN spocdb.products s ON s.image_id = g.image_id JOIN products p ON p.id = s.id "
        "WHERE g.image_id <> g.keeper_id ORDER BY 1"
    )
    assert found.fetchall() == [(2,), (4,), (7,)]
    # Truncated, and filled again: what was decided holds.
    shop.execute("TRUNCATE products")
    shop.work()
    assert groups(shop) == []
    shop.execute("INSERT INTO products VALUES (1, '0002.jpg', ''), (2, '0003.jpg', '')")
    shop.work()
    assert groups(shop) == [["1", "2"]]
    shop.db.tables.detach("products")
    assert shop.execute("SELECT count(*) FROM spocdb.duplicate_decisions").fetchone() == (1,)
