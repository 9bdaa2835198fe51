"""Attached tables whose rows name objects of a bucket, on a real server of S3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from tests.fixtures.buckets import Bucket, Proxy
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.integration.worker.products import TABLE, attach, counts

Make = Callable[..., Path]
Recipe = dict[str, Any]


@pytest.fixture
def shop(db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket) -> Bucket:
    """Return the prefix of an attached table of four products: two keys and two URIs."""
    uris = bucket.put_all(make_photos(4))
    db.connection.execute(TABLE)
    for named in ("0000.jpg", "0001.jpg", *uris[2:]):
        db.connection.execute("INSERT INTO products (photo) VALUES (%s)", [named])
    attach(db, f"{bucket.uri}/", recipe)
    return bucket


def found(db: Database, key: str) -> set[str]:
    """Return the keys of the rows that are similar to one."""
    return {hit.path for hit in db.similar(db.tables.image_id(key), k=9)}


def failures(db: Database) -> dict[str, str]:
    return {failure.path: failure.message for failure in db.failures("products")}


def test_rows_name_objects_by_key_or_uri(db: Database, shop: Bucket, proxy: Proxy) -> None:
    assert db.tables.work(once=True).n_new == 4
    assert counts(db) == (4, 4, 0, 0, 0)
    assert found(db, "1") == {"2", "3", "4"}
    read = db.reader("products")
    assert read("1") != read("3") and read("3").startswith(b"\xff\xd8")
    db.connection.execute("UPDATE products SET photo = '0003.jpg' WHERE id = 1")
    done = db.tables.work(once=True)
    assert (done.n_new, done.n_reused) == (0, 1)


def test_a_row_reaches_no_object_outside_the_prefix(
    db: Database, shop: Bucket, proxy: Proxy, make_photos: Make
) -> None:
    db.tables.work(once=True)
    outside = f"{shop.uri}-secret/0000.jpg"
    shop.storage.client.put_object(
        Bucket="photos",
        Key=f"{shop.prefix}-secret/0000.jpg",
        Body=(make_photos(1, "secret", seed=7) / "0000.jpg").read_bytes(),
    )
    told = {
        outside: f"the URI is not below {shop.uri}/",
        "s3://other/0000.jpg": f"the URI is not below {shop.uri}/",
        "http://127.0.0.1/a.jpg": f"the URI is not below {shop.uri}/",
        "/etc/passwd": "a key with an empty part, or one that is . or .., cannot be read",
        f"{shop.uri}/../{shop.prefix}-secret/0000.jpg": "a key with an empty part, or one that "
        "is . or .., cannot be read",
    }
    proxy.asked.clear()
    for name, message in told.items():
        db.connection.execute("UPDATE products SET photo = %s WHERE id = 1", [name])
        assert db.tables.work(once=True).n_failed == 1
        assert failures(db) == {"1": message}
    assert not proxy.asked
    assert counts(db) == (4, 3, 0, 0, 1)


def test_a_missing_object_is_tried_again_and_its_embedding_stays(
    db: Database, shop: Bucket, make_photos: Make
) -> None:
    db.tables.work(once=True)
    db.connection.execute("UPDATE products SET photo = 'late.jpg' WHERE id = 1")
    db.tables.work(once=True)
    assert counts(db) == (4, 3, 1, 0, 0)
    assert "1" in found(db, "2")
    shop.put("late.jpg", (make_photos(1, "late", seed=9) / "0000.jpg").read_bytes())
    db.tables.retry("products")
    assert db.tables.work(once=True).n_new == 1
    assert counts(db) == (4, 4, 0, 0, 0)


def test_a_worker_without_credentials_says_so(db: Database, shop: Bucket, spocdb: Run) -> None:
    # It ends, although all rows are due again.
    nobody = {"SPOCDB_DATABASE_URL": db.url, "AWS_PROFILE": "nobody"}
    ran = spocdb("worker", "--once", env=nobody)
    assert (ran.returncode, ran.stderr.splitlines()[1:]) == (
        1,
        ["spocdb: cannot open s3://photos: The config profile (nobody) could not be found"],
    )
    assert counts(db) == (4, 0, 4, 0, 0)


@pytest.mark.parametrize(
    "root",
    [
        "s3://key:secret@photos/shoes",
        "s3://photos/shoes?X-Amz-Signature=secret",
        "s3://",
        "https://photos/shoes",
        "S3//photos",
    ],
)
def test_a_root_that_is_no_prefix_of_a_bucket(root: str, db: Database, recipe: Recipe) -> None:
    db.connection.execute(TABLE)
    with pytest.raises(ConfigError, match="the root is neither an absolute path nor") as raised:
        attach(db, root, recipe)
    assert "secret" not in str(raised.value)
