"""Search in SQL alone: by plain psql, with the index, with the promised recall."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import collections, connections, indexes
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.connections import one_row
from spocdb.errors import CollectionNotFound, ImageNotFound
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Plan = Callable[..., str]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]

BY_VIEW = "SELECT path FROM spocdb.photos ORDER BY embedding <#> %s LIMIT 10"
SETTINGS = "SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')"


def recall(found: Sequence[Sequence[Any]], truth: Sequence[Sequence[Any]]) -> float:
    hits = sum(len(set(f) & set(t)) for f, t in zip(found, truth, strict=True))
    return hits / sum(map(len, truth))


def test_psql_does_everything_after_the_network(
    gallery: Database, psql: Psql, gallery_queries: Float32Array
) -> None:
    raw = gallery_queries[0]
    literal = "[" + ",".join(map(str, raw)) + "]"
    ran = psql(
        gallery.url,
        f"""
        \\set raw '''{literal}''::vector'
        SELECT path FROM spocdb.photos ORDER BY embedding <#> spocdb.embed('photos', :raw) LIMIT 5;
        SELECT path FROM spocdb.photos ORDER BY embedding <#> spocdb.project(:raw, 2) LIMIT 5;
        SELECT path FROM spocdb.search('photos', spocdb.embed('photos', :raw), 5);
        SELECT path FROM spocdb.similar('photos', 1, 5);
        SELECT method FROM spocdb.search('photos', spocdb.embed('photos', :raw), k => 1,
                                         filter => '{{"even": true}}', exact => true);
        """,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert len(lines) == 21
    assert lines[:5] == lines[5:10] == lines[10:15]
    assert lines[15:20] == [hit.path for hit in gallery.similar(1, 5)]
    assert lines[20] == "exact"


@pytest.fixture(scope="module")
def halved_template(gallery_template: str, make_template: Callable[..., str]) -> str:
    """Return the name of a copy of the gallery whose active index holds halfvecs."""

    def fill(connection: connections.Connection) -> None:
        indexes.build(connection, collections.get(connection, "photos"), 2, "hnsw-halfvec")

    return make_template(fill, gallery_template)


@pytest.fixture
def searched(
    request: pytest.FixtureRequest,
    make_database: Callable[[str], str],
    environment: dict[str, str],
    state: str,
) -> Iterator[Database]:
    """Return the API on a copy of the gallery whose active embeddings are as `state` says."""
    name = "halved_template" if state == "halfvec" else "gallery_template"
    url = make_database(request.getfixturevalue(name))
    with Database(from_environment(url, environment)) as database:
        if state == "raw":
            database.pca.activate(1)
        yield database


@pytest.mark.parametrize("state", ["vector", "halfvec", "raw"])
def test_a_search_by_the_view_is_a_scan_of_the_index(
    searched: Database,
    plan: Plan,
    clustered: Clustered,
    gallery_queries: Float32Array,
    state: str,
) -> None:
    channels, projection = (256, 1) if state == "raw" else (64, 2)
    wanted = f"Index Scan using embeddings_1_{projection}_hnsw"
    query = Vector(clustered(1, channels)[0])
    assert wanted in plan(searched.connection, BY_VIEW, [query])
    # As a prepared statement of an application, which is planned without the query's values.
    searched.connection.execute("SET plan_cache_mode = force_generic_plan")
    operand = "halfvec" if state == "halfvec" else "vector"
    searched.connection.execute(
        f"PREPARE nearest ({operand}) AS " + BY_VIEW.replace("%s", "$1").replace("10", "$2")
    )
    literal = "'" + str(query.to_list()) + "'"
    assert wanted in plan(searched.connection, f"EXECUTE nearest ({literal}, 10)")
    raw = str(gallery_queries[0].tolist())
    embedded = BY_VIEW.replace("%s", f"spocdb.embed('photos', '{raw}')")
    assert wanted in plan(searched.connection, embedded)


@pytest.mark.parametrize("state", ["vector", "halfvec", "raw"])
def test_what_the_index_finds_is_what_an_exact_scan_finds(
    searched: Database, gallery_queries: Float32Array, state: str
) -> None:
    execute = searched.connection.execute
    asked = [Vector(row) for row in gallery_queries]
    embedded = [execute("SELECT spocdb.embed('photos', %s)", [q]).fetchone() for q in asked]
    by_view = [execute(BY_VIEW, row).fetchall() for row in embedded]

    def search(exact: bool) -> list[list[Any]]:
        statement = (
            "SELECT path FROM spocdb.search('photos', spocdb.embed('photos', %s), exact => %s)"
        )
        return [execute(statement, [q, exact]).fetchall() for q in asked]

    assert recall(search(exact=False), search(exact=True)) >= 0.99
    execute("SET enable_indexscan = off")
    truth = [execute(BY_VIEW, row).fetchall() for row in embedded]
    assert recall(by_view, truth) >= 0.99
    assert recall(search(exact=True), truth) >= 0.99


@pytest.mark.parametrize("exact", [False, True])
def test_the_method_that_is_said_is_the_one_that_was_used(gallery: Database, exact: bool) -> None:
    gallery.connection.autocommit = False
    hits = db_search.similar(gallery.connection, "photos", 1, 10, {}, exact=exact)
    assert {hit.method for hit in hits} == {"exact" if exact else "hnsw"}
    row = gallery.connection.execute(
        "SELECT pg_stat_get_xact_numscans('spocdb.embeddings_1_2_hnsw'::regclass)"
    ).fetchone()
    assert row == (0 if exact else 1,)
    gallery.connection.rollback()


def test_distances_are_cosine_distances_of_the_embeddings(gallery: Database) -> None:
    rows: dict[str, Vector] = dict(
        gallery.connection.execute("SELECT path, embedding FROM spocdb.photos").fetchall()
    )
    query = rows["/photos/000000.jpg"].to_numpy()
    for exact in (False, True):
        hits = gallery.similar(1, 20, exact=exact)
        assert [h.method for h in hits] == ["exact" if exact else "hnsw"] * 20
        expected = [1 - float(rows[hit.path].to_numpy() @ query) for hit in hits]
        np.testing.assert_allclose([hit.distance for hit in hits], expected, atol=1e-5)
        assert expected == sorted(expected)
    assert len({hit.path for hit in hits} - {"/photos/000000.jpg"}) == 20


@pytest.mark.parametrize(
    ("filter", "n_matching", "method"),
    [
        ({"shop": "shop 7"}, 50, "exact"),
        ({"even": True}, 2500, "exact"),
        ({"even": True, "shop": "shop 8"}, 50, "exact"),
        ({"n": 17}, 1, "exact"),
        ({"shop": "none"}, 0, "exact"),
    ],
)
def test_a_filter_gives_k_rows_if_there_are_k(
    gallery: Database,
    gallery_queries: Float32Array,
    filter: dict[str, Any],
    n_matching: int,
    method: str,
) -> None:
    target = Vector(gallery_queries[0])
    statement = """
        SELECT metadata, method, distance
        FROM spocdb.search('photos', spocdb.embed('photos', %s), %s, %s)
    """
    for k in (1, 60):
        parameters = [target, k, psycopg.types.json.Jsonb(filter)]
        rows = gallery.connection.execute(statement, parameters).fetchall()
        assert len(rows) == min(k, n_matching)
        assert all(filter.items() <= row[0].items() and row[1] == method for row in rows)
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)


def test_a_filter_that_many_images_match_goes_on_through_the_index(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(6000, 16)
    add_images(db.connection, rows)
    # All match except the images nearest to the query.
    query = rows[0]
    nearest = np.argsort(-(rows @ query))[:700]
    db.connection.execute("UPDATE spocdb.images SET metadata = '{\"kept\": true}'")
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = '{}' WHERE path = ANY(%s)",
        [[f"/photos/{i:06d}.jpg" for i in nearest]],
    )
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = metadata || '{\"few\": true}' WHERE id % 300 = 0"
    )
    db.index.build("photos")
    exact = db.similar(1, 50, filter={"kept": True}, exact=True)
    few = db.similar(1, 50, filter={"few": True}, exact=True)
    # In a small table matches are listed, in a large one a sample of its pages comes first.
    for fill, is_large in ((100, False), (10, True)):
        alter = psycopg.sql.SQL("ALTER TABLE spocdb.images SET (fillfactor = {})")
        db.connection.execute(alter.format(fill))
        db.connection.execute("VACUUM (FULL) spocdb.images")
        (n_bytes,) = one_row(db.connection, "SELECT pg_relation_size('spocdb.images')")
        assert (n_bytes > 500 * 8192) == is_large
        for filter in ({"kept": True}, "kept=true", [("kept", "exists")]):
            hits = db.similar(1, 50, filter=filter)
            assert [h.method for h in hits] == ["hnsw iterative"] * 50
            assert recall([[h.id for h in hits]], [[h.id for h in exact]]) >= 0.9
        for filter in ({"few": True}, "few=true"):
            hits = db.similar(1, 50, filter=filter)
            assert [h.method for h in hits] == ["exact"] * 20 and hits == few

    # The index scan ends before k, so an exact search follows, with a notice.
    hits = db.similar(1, 6000, filter={"kept": True})
    assert [h.method for h in hits] == ["exact"] * 5300


def test_more_than_the_index_looks_at_in_one_go(gallery: Database) -> None:
    for k in (100, 1000, 1500):
        hits = gallery.similar(1, k)
        assert len({hit.id for hit in hits}) == k
    assert len(gallery.similar(1, 6000)) == 4999


def test_deleted_images_do_not_count_against_k(gallery: Database) -> None:
    # Until a vacuum the index still has the deleted rows.
    gallery.connection.execute("ALTER TABLE spocdb.embeddings_1_2 SET (autovacuum_enabled = off)")
    nearest = [hit.id for hit in gallery.similar(1, 500)]
    gallery.connection.execute("DELETE FROM spocdb.images WHERE id = ANY(%s)", [nearest])
    hits = gallery.similar(1, 50)
    assert len(hits) == 50
    exact = gallery.similar(1, 50, exact=True)
    assert recall([[h.id for h in hits]], [[h.id for h in exact]]) >= 0.9


def test_images_that_are_equal_all_come(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(100)
    add_images(db.connection, np.concatenate([rows, np.repeat(rows[:1], 30, axis=0)]))
    db.index.build("photos")
    hits = db.similar(1, 30)
    assert [hit.distance for hit in hits] == [pytest.approx(0, abs=1e-3)] * 30
    assert all(hit.distance >= 0 and hit.id > 100 for hit in hits)


@pytest.mark.parametrize("transaction", [False, True])
@pytest.mark.parametrize("filter", [{}, {"even": True}])
def test_the_sessions_settings_are_as_they_were(
    gallery: Database, filter: dict[str, Any], transaction: bool
) -> None:
    connection = gallery.connection
    ask = partial(db_search.similar, connection, "photos", 1, 10, exact=False)
    assert ask({})  # loads the library
    assert connection.execute(SETTINGS).fetchone() == ("40", "off")
    connection.execute("SET hnsw.ef_search = 77; SET hnsw.iterative_scan = relaxed_order")
    connection.autocommit = not transaction
    assert ask(filter)
    assert connection.execute(SETTINGS).fetchone() == ("77", "relaxed_order")
    assert connection.execute("SHOW enable_seqscan").fetchone() == ("on",)
    connection.rollback()
    assert connection.execute(SETTINGS).fetchone() == ("77", "relaxed_order")


def test_a_search_uses_no_more_than_its_own_collection(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    rows = clustered(300)
    for name in ("a", "b"):
        add_images(db.connection, rows, name)
        db.index.build(name)
    for name in ("a", "b"):
        assert {hit.path.split("/")[1] for hit in db.similar(1 if name == "a" else 301, 50,
                collection=name)} == {name}  # fmt: skip
    with pytest.raises(ImageNotFound, match=r"collection b has no image 1$"):
        db.similar(1, collection="b")


def test_wrong_questions_are_clear_errors(gallery: Database) -> None:
    with pytest.raises(ImageNotFound, match=r"^collection photos has no image 123456$"):
        gallery.similar(123456)
    with pytest.raises(CollectionNotFound, match="no collection named nothing; there are: photos"):
        gallery.similar(1, collection="nothing")
    execute = gallery.connection.execute
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="k is -5, the least is 0"):
        execute("SELECT * FROM spocdb.similar('photos', 1, -5)")
    message = "collection photos has embeddings of 64 dimensions, the query has 7"
    with pytest.raises(psycopg.errors.DataException, match=message):
        execute("SELECT * FROM spocdb.search('photos', %s)", [Vector(np.ones(7))])
    with pytest.raises(psycopg.errors.DataException, match="different vector dimensions 7 and 64"):
        execute(BY_VIEW, [Vector(np.ones(7))])
    for call in ("search('nothing', '[1]')", "similar('nothing', 1)"):
        with pytest.raises(psycopg.errors.UndefinedObject, match="no collection named nothing"):
            execute(f"SELECT * FROM spocdb.{call}")


def test_a_role_that_was_given_the_right_searches_and_changes_nothing(
    db: Database, add_images: AddImages, clustered: Clustered, role: str
) -> None:
    add_images(db.connection, clustered(60))
    db.index.build("photos")
    quoted = psycopg.sql.Identifier(role)
    execute = db.connection.execute
    execute(psycopg.sql.SQL("GRANT USAGE ON SCHEMA spocdb TO {}").format(quoted))
    execute(psycopg.sql.SQL("GRANT SELECT ON spocdb.photos TO {}").format(quoted))
    execute(psycopg.sql.SQL("SET ROLE {}").format(quoted))
    rows = execute(BY_VIEW, [Vector(clustered(1)[0])]).fetchall()
    assert len(rows) == 10
    for statement in (
        "DELETE FROM spocdb.images",
        "SELECT spocdb.drop_collection(1)",
        "SELECT spocdb.create_collection('mine', 1)",
        "SELECT spocdb.activate(1, 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(statement)
    execute("RESET ROLE")
