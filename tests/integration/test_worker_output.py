"""Output of status, retry, failures, search and worker for attached tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from spocdb.errors import DatabaseError

Cli = Callable[..., Result]


@pytest.fixture
def cli(app: Any, shop: Any, environment: dict[str, str]) -> Cli:
    """Return a function that runs a command in this process."""
    env: dict[str, str | None] = {**environment, "SPOCDB_DATABASE_URL": shop.db.url}
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)), env=env)


def states(shop: Any) -> tuple[int, int, int, int, int]:
    (c,) = shop.db.tables.coverage()
    assert c.rows == c.embedded + c.pending + c.leased + c.failed
    return c.rows, c.embedded, c.pending, c.leased, c.failed


def test_status_counts_each_row_once(shop: Any) -> None:
    shop.attach(condition="id < 100")
    assert states(shop) == (6, 0, 6, 0, 0)
    shop.work()
    assert states(shop) == (6, 6, 0, 0, 0)
    # Embedded, and due again: as a noted change, queued, leased.
    shop.execute("UPDATE products SET photo = '0005.jpg' WHERE id < 4")
    assert states(shop) == (6, 3, 3, 0, 0)
    shop.execute("SELECT spocdb.take_in(collection_id) FROM spocdb.sources")
    assert states(shop) == (6, 3, 3, 0, 0)
    shop.execute(
        "UPDATE spocdb.queue SET lease = gen_random_uuid(), due_at = now() + interval '1 hour'"
        " WHERE key = '1'"
    )
    assert states(shop) == (6, 3, 2, 1, 0)
    # Changed again while it is leased.
    shop.execute("UPDATE products SET photo = '0002.jpg' WHERE id = 1")
    assert states(shop) == (6, 3, 2, 1, 0)
    shop.work()
    assert states(shop) == (6, 6, 0, 0, 0)
    # Failed; the embedding of the earlier image is kept.
    shop.execute("UPDATE products SET photo = 'gone.jpg' WHERE id = 1")
    shop.work()
    shop.execute("UPDATE spocdb.queue SET attempts = 11, due_at = now()")
    shop.work()
    assert states(shop) == (6, 5, 0, 0, 1)
    assert len(shop.found()) == 6
    # No longer in the collection, but not removed yet.
    shop.execute("UPDATE products SET id = 200 WHERE id = 6")
    shop.execute("UPDATE products SET photo = NULL WHERE id = 5")
    assert states(shop) == (6, 3, 2, 0, 1)
    shop.work()
    assert states(shop) == (4, 3, 0, 0, 1)
    # Attaching again queues all rows.
    shop.attach(condition="id < 3")
    assert states(shop) == (4, 0, 4, 0, 0)


def test_status_of_files_adds_up_too(shop: Any) -> None:
    (shop.folder / "bad.jpg").write_bytes(b"no image")
    shop.db.ingest(shop.folder, **shop.recipe)
    assert states(shop) == (7, 6, 0, 0, 1)


def test_status_of_a_table_that_cannot_be_read(stocked: Any) -> None:
    stocked.execute("ALTER TABLE products RENAME photo TO picture")
    (c,) = stocked.db.tables.coverage()
    assert (c.rows, c.embedded, c.problem) == (*(None, 6, "public.products has no column photo"),)


def test_images_of_attached_tables_are_named_by_key(cli: Cli, stocked: Any) -> None:
    stocked.execute("UPDATE products SET photo = '../x' WHERE id = 2")
    stocked.work()
    assert cli("failures").stdout.splitlines()[0].split() == [
        *("collection", "reason", "key", "message"),
    ]
    assert cli("search", "--key", 1, "--csv").stdout.splitlines()[0] == "distance,id,key,metadata"
    assert cli("search", "--key", 1).stdout.splitlines()[0].split()[2] == "key"
    assert cli("images", "list", "--csv").stdout.startswith("id,key,width,")
    (stocked.folder / "bad.jpg").write_bytes(b"no image")
    stocked.db.ingest(stocked.folder, **stocked.recipe)
    assert "key or path" in cli("failures").stdout
    assert " path " in cli("failures", "-c", "photos").stdout
    header = cli("search", stocked.folder / "0000.jpg", "-c", "photos", "--csv").stdout
    assert header.splitlines()[0] == "distance,id,path,metadata"


def test_retry_of_a_row_in_back_off_makes_it_due(cli: Cli, stocked: Any) -> None:
    stocked.execute("UPDATE products SET photo = 'late.jpg' WHERE id < 3")
    stocked.work()
    assert cli("retry", "3").stdout == "0 rows wait again\n"
    assert cli("retry", "1").stdout == "1 row waits again\n"
    assert cli("retry").stdout == "1 row waits again\n"
    assert stocked.work().n_seen == 2


def test_retry_puts_failed_files_into_the_queue(
    cli: Cli, shop: Any, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    folder = make_photos(1)
    (folder / "bad.jpg").write_bytes(b"no image")
    shop.db.ingest(folder, **recipe)
    ran = cli("retry", "1")
    assert (ran.stdout, ran.stderr) == (
        "0 rows wait again\n",
        "no failed or waiting row has the key 1\n",
    )
    assert cli("retry").stdout == "1 row waits again\n"
    assert shop.db.tables.work(once=True).n_failed == 1


def test_retry_says_which_keys_are_of_no_row_that_failed_or_waits(cli: Cli, stocked: Any) -> None:
    (stocked.folder / "bad.jpg").write_bytes(b"no image")
    stocked.execute("UPDATE products SET photo = 'bad.jpg' WHERE id = 1")
    stocked.execute("UPDATE products SET photo = 'late.jpg' WHERE id = 2")
    stocked.work()
    # Noted, but not queued yet.
    stocked.execute("UPDATE products SET photo = 'late.jpg' WHERE id = 4")
    ran = cli("retry", "zzz", "1", "2", "3", "4", "zzz")
    assert (ran.exit_code, ran.stdout) == (0, "2 rows wait again\n")
    assert ran.stderr.splitlines() == [
        "no failed or waiting row has the key zzz",
        "no failed or waiting row has the key 3",
    ]
    # Rows that are due already are counted without a message.
    again = cli("retry", "1", "2")
    assert (again.stdout, again.stderr) == ("2 rows wait again\n", "")
    # A leased row is with a worker.
    stocked.execute("UPDATE spocdb.queue SET lease = gen_random_uuid() WHERE key = '1'")
    again = cli("retry", "1", "2")
    assert (again.stdout, again.stderr) == ("1 row waits again\n", "")


def test_a_worker_without_tables_says_so(cli: Cli, shop: Any, said: list[str]) -> None:
    ran = cli("worker", "--once")
    assert (ran.exit_code, ran.stderr) == (
        0,
        "nothing is queued: run `spocdb attach` or `spocdb ingest --enqueue` first\n",
    )
    said.clear()
    shop.db.tables.work(is_stopped=lambda: bool(said))
    assert said == ["no table is attached, and nothing is queued: answering queries"]


def test_recorded_failures_of_every_kind_are_exit_code_3(cli: Cli, shop: Any) -> None:
    shop.execute("CREATE TABLE notes (id text PRIMARY KEY, photo text)")
    shop.attach("notes")
    for key, photo, attempts in (
        ("a", "../out.jpg", 0),  # UnreadableImage
        ("b", "never.jpg", 11),  # ImageVanished, the last time
        ("x" * 2001, "0000.jpg", 0),  # a key that is too long
    ):
        shop.execute("INSERT INTO notes VALUES (%s, %s)", [key, photo])
        if attempts:
            shop.execute("SELECT spocdb.take_in(collection_id) FROM spocdb.sources")
            shop.execute("UPDATE spocdb.queue SET attempts = %s", [attempts])
        ran = cli("worker", "--once")
        assert ran.exit_code == 3, ran.output
        assert ran.stderr.endswith("1 row failed: see `spocdb failures`, `spocdb retry`\n")
    assert cli("worker", "--once").exit_code == 0


@pytest.mark.parametrize("call", ["similar('products', 1,", "similar_rows('products', 1,"])
def test_too_many_neighbours_or_too_few_are_a_clear_error(
    stocked: Any, tmp_path: Path, call: str
) -> None:
    from spocdb.db import connections

    with (
        connections.connect(stocked.db.url) as connection,
        pytest.raises(
            DatabaseError, match="k is 2147483647, the most is 2147483646: ask for fewer"
        ),
        connections.wrapped(),
    ):
        connection.execute(f"SELECT * FROM spocdb.{call} k => 2147483647)")
    (rows,) = stocked.execute(f"SELECT count(*) FROM spocdb.{call} k => 2147483646)").fetchone()
    assert rows == 5
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="k is -1, the least is 0"):
        stocked.execute(f"SELECT * FROM spocdb.{call} k => -1)")
