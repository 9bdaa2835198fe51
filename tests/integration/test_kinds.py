"""Kinds of index: chosen, built, refused, searched by, and kept."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb import projections
from spocdb.db import collections, connections, indexes, kinds, recalls, search
from spocdb.db.collections import Collection
from spocdb.db.kinds import Kind
from spocdb.errors import ConfigError, DatabaseError, UnknownChoice
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Plan = Callable[..., str]
MakeTemplate = Callable[..., str]
Built = Callable[[Kind], Database]

SEARCH = "SELECT id, distance FROM spocdb.search('photos', %s, %s, exact => %s)"
FILTERED = "SELECT id, distance FROM spocdb.search('photos', %s, %s, '{\"even\": true}', %s)"
SCANS = "SELECT pg_stat_get_xact_numscans('spocdb.embeddings_1_1_hnsw'::regclass)"
DEFINITION = "SELECT pg_get_indexdef('spocdb.embeddings_1_1_hnsw'::regclass)"
STORED = "SELECT kind, index_type FROM spocdb.embedding_tables ORDER BY projection_id"
# Those of pgvector; test_diskann.py has a server with the other.
OURS: tuple[Kind, ...] = ("hnsw-vector", "hnsw-halfvec", "hnsw-bit")
# Rows that are nearly the same everywhere in half precision, and differ in single precision.
HALF = 2.0**-11


@pytest.fixture(scope="module")
def plain_template(make_template: MakeTemplate, add_images: AddImages, clustered: Clustered) -> str:
    """Return the name of a database with 1,000 images of 64 dimensions, without an index."""

    def fill(connection: connections.Connection) -> None:
        add_images(connection, clustered(1050, 64)[:1000])
        connection.execute(
            "UPDATE spocdb.images SET metadata = jsonb_build_object('even', id % 2 = 0)"
        )
        connection.execute("ANALYZE spocdb.images")

    return make_template(fill)


@pytest.fixture(scope="module")
def templates(plain_template: str, make_template: MakeTemplate) -> dict[Kind, str]:
    """Return the names of copies of that database with a measured index of each kind."""

    def fill(kind: Kind, connection: connections.Connection) -> None:
        target = collections.get(connection, "photos")
        indexes.build(connection, target, 1, kind)
        recalls.measure(connection, target, 1)

    return {kind: make_template(partial(fill, kind), plain_template) for kind in OURS}


@pytest.fixture
def built(
    templates: dict[Kind, str],
    make_database: Callable[[str], str],
    environment: dict[str, str],
) -> Iterator[Built]:
    """Return a function that opens a copy of the database with an index of a kind."""
    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(
            Database(from_environment(make_database(templates[kind]), environment))
        )


@pytest.fixture
def queries(clustered: Clustered) -> list[Vector]:
    """Return 50 queries that resemble the images and are none of them."""
    return [Vector(row) for row in clustered(1050, 64)[1000:]]


def kind_of(db: Database) -> str | None:
    return next(one.kind for one in db.index.status("photos") if one.active)


def found(
    db: Database, statement: str, queries: list[Vector], k: int, exact: bool
) -> list[dict[int, float]]:
    return [dict(db.connection.execute(statement, [q, k, exact]).fetchall()) for q in queries]


@pytest.mark.servers
@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize(("statement", "k"), [(SEARCH, 10), (SEARCH, 200), (FILTERED, 10)])
def test_each_kind_finds_what_is_wanted_with_true_distances(
    built: Built,
    queries: list[Vector],
    kind: Kind,
    statement: str,
    k: int,
) -> None:
    db = built(kind)
    recall = db.index.status()[0].recall
    assert recall is not None and recall >= 0.985
    assert kind_of(db) == kind
    by_index, exactly = (found(db, statement, queries, k, exact) for exact in (False, True))
    parts = [len(a.keys() & b.keys()) / k for a, b in zip(by_index, exactly, strict=True)]
    assert np.mean(parts) >= 0.98
    for a, b in zip(by_index, exactly, strict=True):
        assert len(a) == len(b) == k
        assert list(a.values()) == sorted(a.values())
        # Whatever the index holds, the distances are those of the embeddings.
        assert all(a[id_] == b[id_] for id_ in a.keys() & b.keys())


@pytest.mark.servers
@pytest.mark.parametrize("kind", OURS)
def test_a_search_is_one_scan_of_the_index(built: Built, kind: Kind) -> None:
    db = built(kind)
    with db.connection.transaction():
        hits = search.similar(db.connection, "photos", 1, 10, {}, exact=False)
        assert db.connection.execute(SCANS).fetchone() == (1,)
    assert {hit.method for hit in hits} == {"hnsw"}


def test_the_first_index_has_half_precision(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    target = add_images(db.connection, clustered(600))
    assert db.index.status()[0].kind is None
    assert kinds.lost(db.connection, target, 1, "hnsw-halfvec") == 0
    db.index.build()
    assert db.connection.execute(STORED).fetchall() == [("hnsw-halfvec", "halfvec")]
    (definition,) = db.connection.execute(DEFINITION).fetchone() or ("",)
    assert "halfvec_ip_ops" in definition
    db.index.build(kind="hnsw-vector")
    db.index.build()
    assert db.connection.execute(STORED).fetchall() == [("hnsw-vector", "vector")], "it was wanted"


def test_where_half_precision_loses_images_it_is_not_chosen(
    db: Database, add_images: AddImages
) -> None:
    # Directions that differ in the last bits of single precision only.
    rng = np.random.default_rng(0)
    rows = np.full((600, 32), 32**-0.5) + rng.normal(size=(600, 32)) * HALF
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    target = add_images(db.connection, rows)
    db.connection.execute("DELETE FROM spocdb.embeddings_1_1")
    with db.connection.cursor().copy("COPY spocdb.embeddings_1_1 FROM STDIN") as copy:
        for id_, row in enumerate(rows, 1):
            copy.write_row((id_, Vector(row)))
    assert kinds.lost(db.connection, target, 1, "hnsw-halfvec") > 0.02
    db.index.build()
    assert kind_of(db) == "hnsw-vector"


def test_a_view_that_others_depend_on_keeps_its_type(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(300))
    db.connection.execute("CREATE VIEW shop AS SELECT path, embedding FROM spocdb.photos")
    db.index.build()
    assert kind_of(db) == "hnsw-vector"
    with pytest.raises(DatabaseError, match="view shop depends on it: drop that first") as no:
        db.index.build(kind="hnsw-halfvec")
    assert "\n" not in str(no.value)
    db.index.build(kind="hnsw-bit")
    assert db.connection.execute("SELECT count(embedding) FROM shop").fetchone() == (300,)


def test_a_kind_that_finds_too_few_is_refused(
    db: Database, add_images: AddImages, clustered: Clustered, spocdb: Run
) -> None:
    # All numbers are positive, so all signs are alike.
    rows = np.abs(clustered(1000))
    add_images(db.connection, rows)
    db.index.build()
    before = db.connection.execute(DEFINITION).fetchone()
    curve = db.connection.execute("SELECT count(*) FROM spocdb.recalls").fetchone()
    message = r"^hnsw-bit finds 0\.\d+ of the ten nearest images at best, 0\.99 is wanted: the "
    with pytest.raises(ConfigError, match=message):
        db.index.build(kind="hnsw-bit")
    assert kind_of(db) == "hnsw-halfvec"
    assert db.connection.execute(DEFINITION).fetchone() == before
    assert db.connection.execute("SELECT count(*) FROM spocdb.recalls").fetchone() == curve
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE %s"
    assert db.connection.execute(left, ["%hnsw_new"]).fetchone() == (0,)
    ran = spocdb("index", "build", "--kind", "hnsw-bit")
    assert ran.returncode == 1 and len(ran.stderr.splitlines()) == 1
    assert "the index stays hnsw-halfvec, or ask for less first by `spocdb index me" in ran.stderr
    less = re.findall(r"--recall (0\.\d+)`", ran.stderr)
    assert spocdb("index", "measure", "--recall", *less).returncode == 0
    # An index of equal signs differs much from build to build.
    db.index.measure(recall=0.02)
    db.index.build(kind="hnsw-bit")
    assert kind_of(db) == "hnsw-bit"
    assert spocdb("index", "build", "--kind", "ivf").returncode == 1
    with pytest.raises(UnknownChoice, match="one of hnsw-vector, hnsw-halfvec, hnsw-bit"):
        db.index.build(kind="ivf")  # type: ignore[arg-type]


def test_a_new_projection_keeps_the_kind(built: Built) -> None:
    db = built("hnsw-bit")
    db.pca.activate(db.pca.fit(dim=48))
    assert kind_of(db) == "hnsw-bit"
    assert db.index.status()[1].recall is not None, "measured before it was used"
    db.index.build(kind="hnsw-vector")
    db.pca.augment()
    assert kind_of(db) == "hnsw-vector"


def test_a_new_projection_for_which_the_kind_does_not_do_has_another(
    db: Database, add_images: AddImages, clustered: Clustered, caplog: pytest.LogCaptureFixture
) -> None:
    # More than one scan of the index compares.
    add_images(db.connection, clustered(2000, 64))
    db.index.build(kind="hnsw-bit")
    db.pca.activate(db.pca.fit(dim=2))  # 2 bits, four places
    assert kind_of(db) == "hnsw-halfvec"
    assert "hnsw-bit finds 0." in caplog.text and "so its index is hnsw-halfvec" in caplog.text
    assert len(db.similar(1, 5)) == 5


def test_long_embeddings_have_half_precision(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60, 2048))
    db.index.build()
    assert kind_of(db) == "hnsw-halfvec"
    with pytest.raises(ConfigError, match="more than 2,000 dimensions"):
        db.index.build(kind="hnsw-vector")
    db.index.build(kind="hnsw-bit")
    assert len(db.similar(1, 10)) == 10


def test_an_interrupted_build_leaves_the_index_and_its_kind(
    built: Built,
) -> None:
    db = built("hnsw-vector")
    before = db.similar(1, 5)
    with connections.connect(db.url) as writer, connections.connect(db.url) as killed:
        writer.autocommit = False
        writer.execute("DELETE FROM spocdb.embeddings_1_1 WHERE false")  # the build waits for it
        killed.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            indexes.build(killed, collections.get(killed, "photos"), 1, "hnsw-bit")
    assert kind_of(db) == "hnsw-vector"
    assert db.similar(1, 5) == before
    db.index.build(kind="hnsw-bit")
    assert kind_of(db) == "hnsw-bit"


def test_duplicates_are_the_same_whatever_the_kind(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(200, 64)
    near = rows[:40] + 0.001 * np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32)
    add_images(db.connection, np.concatenate([rows, near]))
    pairs = "SELECT a, b, distance FROM spocdb.duplicate_pairs ORDER BY a, b"
    seen = []
    for kind in OURS:
        db.index.build(kind=kind)
        db.duplicates.find(distance=0.01)
        seen.append(db.connection.execute(pairs).fetchall())
        db.connection.execute("DELETE FROM spocdb.duplicate_searches")
        db.connection.execute("DELETE FROM spocdb.duplicate_pairs")
    assert len(seen[0]) >= 40
    assert seen[0] == seen[1] == seen[2]


def test_hand_written_sql_by_bits_is_a_scan_of_the_index(
    built: Built, plan: Plan, queries: list[Vector]
) -> None:
    db = built("hnsw-bit")
    statement = (
        "SELECT path FROM (SELECT path, embedding FROM spocdb.photos "
        "ORDER BY binary_quantize(embedding)::bit(64) <~> binary_quantize(%s)::bit(64) LIMIT 50"
        ") n ORDER BY embedding <#> %s LIMIT 10"
    )
    found = plan(db.connection, statement, [queries[0], queries[0]])
    assert "Index Scan using embeddings_1_1_hnsw" in found


def test_by_bits_a_copied_image_finds_copies_only_if_there_are_enough(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(300, 64)
    copied = np.concatenate([rows, np.repeat(rows[5:6], 600, axis=0)])
    target = add_images(db.connection, copied)
    # The copies are measured without the exact scan that a search falls back on.
    recalls.want(db.connection, target, 0.5)
    db.index.build(kind="hnsw-bit")
    statement = "SELECT distance FROM spocdb.search('photos', %s, %s, exact => %s)"
    for k in (5, 300, 650):
        near, exact = (
            [d for (d,) in db.connection.execute(statement, [Vector(rows[5]), k, exact])]
            for exact in (False, True)
        )
        assert near[:600] == exact[:600]
        assert len(near) == k and (k < 601 or near[-1] > 0.01)


def test_an_unmeasured_index_of_bits_compares_many(built: Built) -> None:
    db = built("hnsw-bit")
    recalls.forget(db.connection, collections.get(db.connection, "photos"), 1)
    width = "SELECT spocdb.ef_search(1, 1, %s)"
    assert db.connection.execute(width, [10]).fetchone() == (1000,)
    assert db.connection.execute(width, [500]).fetchone() == (5000,)
    assert [hit.method for hit in db.similar(1, 10)] == ["hnsw"] * 10


def test_an_index_that_finds_too_few_by_now_is_told(
    db: Database,
    add_images: AddImages,
    clustered: Clustered,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = add_images(db.connection, np.abs(clustered(1200)))
    recalls.want(db.connection, target, 0.02)
    db.index.build(kind="hnsw-bit")
    recalls.want(db.connection, target, 0.99)
    # Due, as after a growth by a quarter.
    monkeypatch.setattr(recalls, "FEWEST", 1000)
    recalls.forget(db.connection, target, 1)
    projections.settle(db.connection, lambda: connections.connect(db.url), target, 0)
    assert "the hnsw-bit index finds 0." in caplog.text
    assert "which is less than wanted: run `db.index.build(" in caplog.text
