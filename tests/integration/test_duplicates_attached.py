"""Near-duplicates of an attached table, and who may see them."""

from collections.abc import Callable
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
