"""A row that kills its worker affects no other row, and keeps its embedding."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from spocdb.db import collections, queue
from spocdb.verdicts import MOST_LOST
from tests.fixtures.forking import Fork

POISON = b"BM poison"
KILLED = 86
# Works until nothing is due. Its decoder ends the process on certain bytes, as a crash or a lack of
# memory would.
WORKER = f"""
import os, sys
import spocdb
from spocdb.pipeline import intake

decode = intake.decode

def decode_or_die(data, *arguments, **options):
    if data == {POISON!r}:
        os._exit({KILLED})
    return decode(data, *arguments, **options)

intake.decode = decode_or_die
with spocdb.connect(sys.argv[1]) as db:
    db.tables.work(once=True)
"""


def work(shop: Any, fork: Fork, environment: dict[str, str], script: Path) -> list[int]:
    """Let one worker after the other work until one survives; return how they ended."""
    script.write_text(WORKER)
    ended = [KILLED]
    while ended[-1]:
        # Leases of the dead run out at once.
        shop.execute("UPDATE spocdb.queue SET due_at = now() WHERE lease IS NOT NULL")
        with fork([str(script), shop.db.url], environment) as worker:
            _, said = worker.communicate(timeout=120)
            ended.append(worker.wait())
        assert ended[-1] in (0, KILLED), said
    return ended[1:]


@pytest.mark.slow
@pytest.mark.parametrize("had_an_embedding", [False, True])
def test_a_poisonous_row_is_the_only_one_that_fails(
    shop: Any, fork: Fork, environment: dict[str, str], tmp_path: Path, had_an_embedding: bool
) -> None:
    shop.execute("INSERT INTO products VALUES (7, '0001.jpg'), (8, '0002.jpg')")
    shop.attach()
    if had_an_embedding:
        shop.work()
        assert len(shop.found()) == 8
        shop.execute("UPDATE products SET photo = 'poison.bmp' WHERE id = 4")
        shop.execute("UPDATE products SET photo = '0005.jpg' WHERE id <> 4")
    else:
        shop.execute("UPDATE products SET photo = 'poison.bmp' WHERE id = 4")
    (shop.folder / "poison.bmp").write_bytes(POISON)
    # Together with others until it is suspect, and then alone.
    assert work(shop, fork, environment, tmp_path / "worker.py") == [KILLED] * MOST_LOST + [0]
    (coverage,) = shop.db.tables.coverage()
    assert (coverage.rows, coverage.embedded, coverage.failed, coverage.pending) == (8, 7, 1, 0)
    (failure,) = shop.db.failures("products")
    assert (failure.path, failure.reason) == ("4", "ProcessLost")
    assert len(shop.found()) == (8 if had_an_embedding else 7)
    # After a retry it is leased alone from the start.
    assert shop.db.tables.retry("products") == 1
    assert shop.execute("SELECT lost FROM spocdb.queue").fetchall() == [(queue.LOST_UNTIL_ALONE,)]


def test_suspect_rows_come_last_and_one_by_one(shop: Any, said: list[str]) -> None:
    shop.attach()
    shop.execute("SELECT spocdb.take_in(collection_id) FROM spocdb.sources")
    shop.execute(
        "UPDATE spocdb.queue SET lost = 2, due_at = now() - interval '1 hour'"
        " WHERE key IN ('1', '2')"
    )
    said.clear()
    assert shop.db.tables.work(once=True).n_new == 6
    assert said[1:] == ["products: 4 new", "products: 2 new"]


def test_a_lost_worker_is_no_try_of_the_image(shop: Any) -> None:
    shop.attach()
    shop.execute("SELECT spocdb.take_in(collection_id) FROM spocdb.sources")
    shop.execute("DELETE FROM spocdb.queue WHERE key <> '1'")
    taken: list[tuple[int, int]] = []
    for _ in range(3):
        (found,) = _lease(shop, alone=len(taken) == 2)
        taken.append((found.tries.attempts, found.tries.lost))
    assert taken == [(1, 0), (1, 1), (1, 2)]


def _lease(shop: Any, alone: bool) -> list[queue.LeasedRef]:
    target = collections.get(shop.db.connection, "products")
    return queue.lease(shop.db.connection, target, uuid4(), 10, 0.0, alone=alone)


def test_a_row_without_an_image_is_gone_and_the_others_go_on(shop: Any) -> None:
    """A leased row may lose its image before it is read."""
    shop.attach()
    shop.execute(
        """
        CREATE FUNCTION empty() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN UPDATE products SET photo = NULL WHERE id = 3; RETURN NULL; END $$;
        CREATE TRIGGER empty AFTER UPDATE ON spocdb.queue
            FOR EACH ROW WHEN (NEW.lease IS NOT NULL AND NEW.key = '3') EXECUTE FUNCTION empty();
        """
    )
    done = shop.work()
    # Gone when it is read, and again when its change is processed.
    assert (done.n_new, done.n_pruned, done.n_failed) == (5, 2, 0)
    assert shop.found() == ["1", "2", "4", "5", "6"]


def test_a_type_that_casts_to_nothing_is_tried_again(shop: Any, tmp_path: Path) -> None:
    """The row belongs by its value, which is not NULL, but the cast gives NULL."""
    shop.attach()
    shop.execute(
        """
        ALTER FUNCTION spocdb.source_rows(bigint, text[]) RENAME TO given;
        CREATE FUNCTION spocdb.source_rows(bigint, text[])
        RETURNS TABLE (key text, location text, content bytea, metadata jsonb) LANGUAGE sql AS $$
            SELECT key, CASE key WHEN '3' THEN NULL ELSE location END, content, metadata
            FROM spocdb.given($1, $2) $$;
        """
    )
    done = shop.work()
    assert (done.n_new, done.n_failed) == (5, 0)
    assert shop.execute("SELECT key, attempts FROM spocdb.queue").fetchall() == [("3", 1)]


def test_a_row_that_the_database_cannot_read_fails_alone(shop: Any) -> None:
    shop.execute("ALTER TABLE products ADD price integer NOT NULL DEFAULT 5")
    shop.attach(condition="10 / price > 1")
    assert shop.work().n_new == 6
    shop.execute("UPDATE products SET price = 4 WHERE id < 6")
    shop.execute("UPDATE products SET price = 0 WHERE id = 2")
    done = shop.work()
    assert (done.n_reused, done.n_failed) == (4, 1)
    (failure,) = shop.db.failures("products")
    assert (failure.path, failure.reason) == ("2", "DatabaseRefused")
    assert failure.message == "the row cannot be read: division by zero"
    assert "2" in shop.found()


def test_a_row_that_the_database_refuses_to_store_fails_alone(shop: Any) -> None:
    shop.execute("ALTER TABLE products ADD size numeric DEFAULT 1")
    shop.execute("UPDATE products SET size = 1e400 + 0.5 WHERE id = 2")
    shop.attach(metadata=["size"])
    done = shop.work()
    assert (done.n_new + done.n_reused, done.n_failed) == (5, 1)
    (failure,) = shop.db.failures("products")
    assert (failure.path, failure.reason) == ("2", "DatabaseRefused")
    assert shop.execute("SELECT count(*) FROM spocdb.queue").fetchone() == (0,)
    with pytest.raises(psycopg.errors.NoDataFound):
        shop.execute("SELECT * FROM spocdb.similar_rows('products', 2)")


def test_a_key_that_is_too_long_is_a_failure_of_the_run(shop: Any) -> None:
    shop.execute("CREATE TABLE notes (id text PRIMARY KEY, photo text)")
    shop.execute("INSERT INTO notes VALUES ('a', '0000.jpg'), (repeat('x', 2001), '0001.jpg')")
    shop.attach("notes")
    done = shop.work()
    assert (done.n_seen, done.n_new, done.n_failed) == (2, 1, 1)
    (coverage,) = shop.db.tables.coverage("notes")
    assert (coverage.rows, coverage.embedded, coverage.failed, coverage.pending) == (2, 1, 1, 0)
