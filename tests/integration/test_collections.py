"""Collections: any name works in every command, and a dropped one leaves nothing behind."""

import json
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from psycopg.errors import ReservedName
from psycopg.sql import SQL, Identifier

from spocdb.db import collections, connections, embeddings, runs
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.errors import CollectionNotFound, ConfigError, DatabaseError
from spocdb.features.recipes import make_recipe
from spocdb.records import Float32Array, Recipe
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

HOSTILE = [
    "Two words",
    "order",
    "quo\"te's",
    "a;DROP TABLE spocdb.images --",
    "%s %(name)s {0} %% \\",
    "$$new\nline",
    "a.b",
    "ÄÖ ß 写真 🐈",
    "x" * 63,
    "é" * 31,
    "incoming_images",
]
TAKEN = [
    "images",
    "collections",
    "descriptors",
    "alembic_version",
    "images_pkey",
    "images_id_seq",
    "embeddings_1_1",
    "embeddings_99_99",
    "queue",
    "duplicates",
    "queries",
    "sources",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_works_in_every_function(
    db: Database, add_images: AddImages, clustered: Clustered, name: str
) -> None:
    rows = clustered(60)
    add_images(db.connection, rows, "photos")
    target = add_images(db.connection, rows, name)
    assert target.name == name
    assert db.index.build(name) == 1
    number = db.pca.fit(name, dim=8)
    assert db.pca.show(number)[0].fitted_on["collections"] == [name]
    db.pca.activate(number, name)
    assert db.pca.rollback(name) == 1
    db.pca.activate(number, name)
    db.index.build(name, "hnsw-halfvec")
    hits = db.similar(61, 5, collection=name)
    assert [hit.id > 60 for hit in hits] == [True] * 5
    view = SQL("SELECT path FROM spocdb.{} ORDER BY embedding <#> spocdb.embed(%s, %s) LIMIT 5")
    found = db.connection.execute(
        view.format(Identifier(name.replace("%", "%%"))), [name, str(rows[0].tolist())]
    ).fetchall()
    assert found[0] == (f"/{name}/000000.jpg",)
    assert [s.collection for s in db.index.status(name)] == [name, name]
    assert {c.name: c.n_images for c in db.collections()} == {"photos": 60, name: 60}
    with pytest.raises(DatabaseError, match=r"has no image 1$"):
        db.similar(1, collection=name)
    db.pca.drop(1, name)
    db.drop(name)
    assert [c.name for c in db.collections()] == ["photos"]
    assert len(db.similar(1, 5, collection="photos")) == 5


def test_a_hostile_name_works_in_every_command(
    db: Database,
    spocdb: Run,
    psql: Run,
    make_photos: Callable[..., Path],
    add_images: AddImages,
    clustered: Clustered,
) -> None:
    name = 'Mia\'s "ß" %s;\\ --写'
    add_images(db.connection, clustered(60, 512), name)
    for command in (
        ("ingest", make_photos(0)),
        ("failures",),
        ("pca", "fit", "--dim", 8, "--activate"),
        ("pca", "rollback"),
        ("pca", "activate", 2),
        ("pca", "drop", 1),
        ("index", "build", "--kind", "hnsw-halfvec"),
        ("index", "status"),
        ("search", "--id", 1, "-k", 3, "--json"),
    ):
        ran = spocdb(*command, "--collection", name)
        assert ran.returncode == 0, (command, ran.stderr)
    by_command = [hit["path"] for hit in json.loads(ran.stdout)]
    quoted = name.replace("'", "''")
    by_psql = psql(db.url, f"SELECT path FROM spocdb.similar('{quoted}', 1, 3)").stdout
    assert by_psql.splitlines() == by_command
    assert name in spocdb("collections", "list").stdout
    assert spocdb("collections", "drop", name, "--yes").returncode == 0
    assert db.collections() == []


@pytest.mark.parametrize("name", TAKEN)
def test_the_names_of_spocdbs_own_tables_are_refused(
    db: Database, add_images: AddImages, clustered: Clustered, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"the name {name} is taken by spocdb's own tables: choo"):
        db_create(db, name)
    assert db.collections() == []


@pytest.mark.parametrize(
    ("name", "n_bytes"), [("x" * 64, 64), ("é" * 32, 64), ("x" * 1000, 1000), ("", 0)]
)
def test_a_name_that_postgresql_would_cut_is_refused(db: Database, name: str, n_bytes: int) -> None:
    with pytest.raises(ConfigError, match=f"has 1 to 63 bytes, this one has {n_bytes}: choose an"):
        db_create(db, name)
    assert db.collections() == []


def test_two_programs_that_make_a_collection_at_once_get_the_same(
    db: Database, made_up: Recipe, wait_for_lock: Callable[..., None]
) -> None:
    def create() -> Collection:
        with connections.connect(db.url) as connection:
            return collections.create(connection, "photos", made_up, 8)

    with ThreadPoolExecutor(1) as pool:
        with db.connection.transaction():
            first = collections.create(db.connection, "photos", made_up, 8)
            second = pool.submit(create)
            with connections.connect(db.url) as watcher:
                wait_for_lock(watcher)
        assert second.result() == first
    with pytest.raises(ReservedName, match="the name photos is taken"):
        db.connection.execute("SELECT spocdb.create_collection('photos', %s)", [first.extractor_id])


@connections.wrapped()
def db_create(db: Database, name: str) -> None:
    """Make a collection as an ingest does."""
    recipe = make_recipe("squeezenet1_1", "0" * 64, size=64, centering=False)
    collections.create(db.connection, name, recipe, 8)


def test_dropping_a_collection_leaves_only_raw_descriptors(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    def relations() -> list[tuple[str]]:
        return db.connection.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'spocdb'::regnamespace "
            "ORDER BY 1"
        ).fetchall()

    before = relations()
    add_images(db.connection, clustered(60))
    db.index.build()
    db.pca.activate(db.pca.fit(dim=8))
    assert len(relations()) > len(before) + 4
    db.drop("photos")
    assert relations() == before
    rows = db.connection.execute(
        "SELECT (SELECT count(*) FROM spocdb.images), (SELECT count(*) FROM spocdb.descriptors)"
    ).fetchone()
    assert rows == (0, 60)
    # After the images are ingested again, the old projection can be used.
    add_images(db.connection, clustered(60))
    db.pca.activate(2)
    with pytest.raises(CollectionNotFound, match="no collection named nothing; there are: photos"):
        db.drop("nothing")


def test_a_collection_that_a_view_depends_on_is_not_dropped(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    db.connection.execute("CREATE VIEW shop AS SELECT path FROM spocdb.photos")
    message = "view public.shop depends on view photos: drop what depends on it first$"
    with pytest.raises(DatabaseError, match=message):
        db.drop("photos")
    assert len(db.similar(1)) == 10


def test_the_only_collection_need_not_be_named(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    with pytest.raises(CollectionNotFound, match=r"no collection yet: run `db\.ingest\(FOLDER\)`"):
        db.similar(1)
    add_images(db.connection, clustered(60), "a")
    assert len(db.similar(1)) == 10
    add_images(db.connection, clustered(60), "b")
    with pytest.raises(CollectionNotFound, match=r"name one of the collections .*: a, b"):
        db.similar(1)
    add_images(db.connection, clustered(60), "photos")
    assert {hit.path.split("/")[1] for hit in db.similar(121)} == {"photos"}


def test_the_same_bytes_are_stored_once_for_all_collections_of_an_extractor(
    db: Database, add_images: AddImages, clustered: Clustered, made_up: Recipe
) -> None:
    rows = clustered(60)
    for name, recipe in (("a", made_up), ("b", made_up), ("c", replace(made_up, size=320))):
        add_images(db.connection, rows, name, recipe)
    found = {e.recipe.size: (e.n_descriptors, e.collections) for e in db.extractors()}
    assert found == {586: (60, ["a", "b"]), 320: (60, ["c"])}


def test_batches_that_overlap_do_not_disturb_each_other(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(200)
    add_images(db.connection, rows[:1])
    barrier = threading.Barrier(4)

    def write(order: int) -> None:
        with connections.connect(db.url) as connection:
            for _ in range(5):
                barrier.wait()
                # The same images in another order each time.
                part = rows[:: -1 if order % 2 else 1]
                add_images(connection, part)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    target = collections.get(db.connection, "photos")
    assert embeddings.count(db.connection, target, 1) == 200
    assert db.collections()[0].n_images == 200


def test_a_dropped_collection_stops_its_writer(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    from spocdb.db import writing

    target = add_images(db.connection, clustered(60))
    db.drop("photos")
    with pytest.raises(CollectionNotFound, match="collection photos was dropped meanwhile"):
        writing.write(db.connection, target, Batch(), lambda _, raw: raw)


def test_a_run_that_was_killed_is_told_from_one_of_another_database(
    db: Database, other: Database, add_images: AddImages, clustered: Clustered
) -> None:
    target = add_images(db.connection, clustered(1))
    elsewhere = add_images(other.connection, clustered(1))
    statuses = "SELECT status FROM spocdb.runs ORDER BY id"
    with connections.connect(db.url) as killed:
        runs.begin(killed, target)
        # A run of the same number, which is still running.
        runs.begin(other.connection, elsewhere)
        runs.begin(db.connection, target)
        assert db.connection.execute(statuses).fetchall() == [("running",), ("running",)]
    with connections.connect(db.url) as third:
        assert runs.mark_killed(third, target)
        third_run = runs.begin(third, target)
        runs.end(third, third_run, "finished", {"n": 1})
    expected = [("interrupted",), ("running",), ("finished",)]
    assert db.connection.execute(statuses).fetchall() == expected


def test_a_conninfo_with_a_plus_and_sqlalchemys_spelling_are_understood(url: str) -> None:
    with connections.connect(f"fallback_application_name='a+b' {url}") as connection:
        name = connection.info.dbname
    with connections.connect(f"postgresql+psycopg:///{name}?{_as_query(url)}") as connection:
        assert connection.info.dbname == name
    with pytest.raises(DatabaseError, match=r"cannot reach the database: .*check `url=.*` or SPOC"):
        connections.connect("postgresql://localhost:1/nothing")


def _as_query(url: str) -> str:
    from urllib.parse import urlencode

    from psycopg.conninfo import conninfo_to_dict

    return urlencode({k: str(v) for k, v in conninfo_to_dict(url).items() if k != "dbname"})


def test_descriptors_come_back_as_they_went_in(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    from spocdb.db.copy import copy_out

    rows = clustered(100)
    add_images(db.connection, rows)
    statement = (
        "COPY (SELECT i.id, i.sha256, d.descriptor, e.embedding FROM spocdb.images i "
        "JOIN spocdb.descriptors d USING (sha256) JOIN spocdb.embeddings_1_1 e ON image_id = i.id "
        "ORDER BY i.id) TO STDOUT (FORMAT binary)"
    )
    fields = {"id": "bigint", "sha256": "sha256", "raw": "halfvec(32)", "embedding": "vector(32)"}
    for n_rows in (1, 7, 100, 1000):
        chunks = list(copy_out(db.connection, statement, fields, n_rows))
        assert [len(chunk) for chunk in chunks[:-1]] == [n_rows] * (len(chunks) - 1)
        found = np.concatenate(chunks)
        assert found["id"].tolist() == list(range(1, 101))
        np.testing.assert_array_equal(found["raw"].astype(np.float32), rows)
    empty = statement.replace("ORDER BY", "WHERE false ORDER BY")
    assert list(copy_out(db.connection, empty, fields, 7)) == []


def test_deleted_images_take_their_embeddings_along_in_their_own_collection_only(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    target = add_images(db.connection, clustered(50))
    add_images(db.connection, clustered(50), name="others")
    db.pca.activate(db.pca.fit("photos", dim=8), "photos")
    before = db.connection.execute("SELECT count(*) FROM spocdb.others").fetchone()
    db.connection.execute(
        "DELETE FROM spocdb.images WHERE collection_id = %s AND path < %s",
        [target.id, "/photos/000020"],
    )
    tables = db.connection.execute(
        "SELECT projection_id FROM spocdb.embedding_tables WHERE collection_id = %s", [target.id]
    ).fetchall()
    counted = [embeddings.count(db.connection, target, number) for (number,) in tables]
    assert counted == [30, 30]
    assert db.connection.execute("SELECT count(*) FROM spocdb.others").fetchone() == before


@pytest.mark.parametrize("pool_size", [1])
def test_making_or_dropping_embeddings_does_not_wait_for_readers_of_the_images(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(50))
    number = db.pca.fit(dim=8)
    with connections.connect(db.url) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM spocdb.images")
        with db.engine.connection() as connection:
            # The pool has no other connection, so the calls get it in this state.
            connection.execute("SET lock_timeout = '5s'")
        db.pca.activate(number)
        db.pca.drop(1, "photos")
