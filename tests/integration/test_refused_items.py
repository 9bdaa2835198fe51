"""An item that the database refuses is a failure; the rest of its batch is written."""

import hashlib
import os
from functools import partial
from typing import Any

import numpy as np
import psycopg
import pytest

from spocdb.db import collections, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.errors import ImageVanished
from spocdb.features.recipes import make_recipe
from spocdb.records import ImageRef, NewDescriptor
from tests.fixtures.opened import Database

# Random, because PostgreSQL compresses a key before it measures it.
TOO_LONG = "/photos/" + os.urandom(1700).hex()


@pytest.fixture
def photos(db: Database) -> Collection:
    recipe = make_recipe("squeezenet1_1", hashlib.sha256(b"made up").hexdigest())
    writing.make_staging(db.connection)
    return collections.create(db.connection, "photos", recipe, 4)


def batch_of(paths: list[str], failed: list[str]) -> Batch:
    files = [(ImageRef(path, "1 1"), hashlib.sha256(path.encode()).digest()) for path in paths]
    raw = np.full(4, 0.5, np.float32)
    return Batch(
        images=files,
        descriptors={sha256: NewDescriptor(4, 3, raw) for _, sha256 in files},
        failures=[(ImageRef(path, "1 1"), ImageVanished("gone")) for path in failed],
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (TOO_LONG, "index row size"),
        ("/photos/a\0b.jpg", "NUL"),
    ],
)
def test_a_path_that_cannot_be_stored_is_a_failure_and_the_others_are_written(
    db: Database, photos: Collection, bad: str, reason: str
) -> None:
    batch = batch_of(["/photos/1.jpg", bad, "/photos/2.jpg"], ["/photos/3.jpg", bad + "3"])
    refused = writing.write(db.connection, photos, batch, lambda _, rows: rows)
    assert len(refused) == 2
    rows = db.connection.execute("SELECT path FROM spocdb.photos ORDER BY path").fetchall()
    assert rows == [("/photos/1.jpg",), ("/photos/2.jpg",)]
    reasons = [(f.reason, f.path[:12]) for f in db.failures()]
    assert sorted(reasons) == [
        ("DatabaseRefused", "/photos/" + bad[8:12].replace("\0", "\ufffd")),
        ("DatabaseRefused", "/photos/" + bad[8:12].replace("\0", "\ufffd")),
        ("ImageVanished", "/photos/3.jp"),
    ]
    assert any(reason in f.message for f in db.failures())
    (n,) = db.connection.execute("SELECT count(*) FROM spocdb.descriptors").fetchone() or (0,)
    assert n == 2  # the refused file's descriptor was rolled back


def test_trouble_of_the_whole_is_no_refusal(db: Database, photos: Collection) -> None:
    write: Any = partial(writing.write, db.connection, photos, batch_of(["/photos/1.jpg"], []))
    db.connection.execute("ALTER TABLE spocdb.images RENAME TO pictures")
    with pytest.raises(psycopg.errors.UndefinedTable):
        write(lambda _, rows: rows)
    assert db.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
