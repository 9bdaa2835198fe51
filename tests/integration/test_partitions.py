"""Embedding tables in parts: whatever is asked, the answer is that of one table."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import collections, connections, curves, recalls
from spocdb.db.kinds import Kind
from spocdb.errors import ConfigError, InvalidValue
from spocdb.records import Float32Array, Recipe
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

pytestmark = pytest.mark.servers

Clustered = Callable[..., Float32Array]
Plan = Callable[..., str]

# A collection in one table, and one of the same images in parts.
ONE, PARTS = "photos", "parts"
N_PARTS = 3
PART = "embeddings_2_1_{}_of_3"
N = 900
OURS: tuple[Kind, ...] = ("hnsw-vector", "hnsw-halfvec", "hnsw-bit")

TABLES = """
SELECT c.relname, c.relkind, pg_get_userbyid(c.relowner), obj_description(c.oid) FROM pg_class c
WHERE c.relname ~ '^embeddings_2_[0-9_of]*$' AND c.relkind IN ('r', 'p') ORDER BY 1
"""
SCANS = f"SELECT sum(pg_stat_get_xact_numscans(format('spocdb.{PART}_hnsw', n)::regclass)) "
SCANS = SCANS.replace("{}", "%s") + "FROM generate_series(0, 2) n"


@pytest.fixture(scope="module")
def both_template(
    server: str,
    template: str,
    clustered: Clustered,
    add_images: Callable[..., Any],
    made_up: Recipe,
) -> Iterator[str]:
    """Return the name of a database with 900 images in one table, and the same in three parts."""
    name = f"{template}_both"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        with connections.connect(psycopg.conninfo.make_conninfo(server, dbname=name)) as made:
            rows = clustered(N + 30)[:N]
            add_images(made, rows, ONE)
            collections.create(made, PARTS, made_up, 32, N_PARTS)
            add_images(made, rows, PARTS)
            made.execute(
                "UPDATE spocdb.images SET metadata = jsonb_build_object("
                "'even', id %% 2 = 0, 'n', (id - 1) %% %s)",
                [N],
            )
            made.execute("ANALYZE spocdb.images")
        yield name
        admin.execute(f"DROP DATABASE {name}")


@pytest.fixture
def both(
    make_database: Callable[[str], str], both_template: str, environment: dict[str, str]
) -> Iterator[Database]:
    """Return the API on a copy of the database with both collections."""
    with Database(from_environment(make_database(both_template), environment)) as database:
        yield database


@pytest.fixture
def queries(clustered: Clustered) -> list[Vector]:
    """Return 30 queries that resemble the images and are none of them."""
    return [Vector(row) for row in clustered(N + 30)[N:]]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure by fewer queries, which is quicker."""
    monkeypatch.setattr(curves, "FEWEST", 30)
    monkeypatch.setattr(curves, "MOST", 30)


def test_the_table_has_parts_and_each_image_is_in_one(both: Database) -> None:
    found = both.connection.execute(TABLES).fetchall()
    names = ["embeddings_2_1", *(PART.format(n) for n in range(N_PARTS))]
    assert [name for name, *_ in found] == names
    assert [kind for _, kind, *_ in found] == ["p", "r", "r", "r"]
    assert len({owner for *_, owner, _ in found}) == 1
    assert {about for *_, about in found} == {
        "Embeddings of collection 2 by projection 1; see spocdb.embedding_tables"
    }
    whole, *each = (
        connections.one_row(both.connection, f"SELECT count(*) FROM spocdb.{name}")[0]
        for name in names
    )
    assert whole == sum(each) == N and min(each) > N / 5
    assert [s.partitions for s in both.index.status()] == [N_PARTS, 1]


EXACT = [
    "SELECT path, distance FROM spocdb.search('{c}', %(q)s, 20, exact => true)",
    "SELECT path, distance FROM spocdb.search('{c}', %(q)s, 20, '{\"even\": true}', true)",
    "SELECT path, distance FROM spocdb.search('{c}', %(q)s, 20, '[[\"n\", \"<\", 40]]')",
    "SELECT path, distance FROM spocdb.within('{c}', %(q)s, 0.6)",
    "SELECT path, distance FROM spocdb.within('{c}', %(q)s, 0.9, '{\"even\": true}')",
    "SELECT path, embedding <#> %(q)s FROM spocdb.{c} ORDER BY 0 + (embedding <#> %(q)s) LIMIT 9",
]


@pytest.mark.parametrize("is_indexed", [False, True])
def test_exact_answers_are_those_of_one_table(
    both: Database, queries: list[Vector], is_indexed: bool
) -> None:
    if is_indexed:
        for name in (ONE, PARTS):
            both.index.build(name, "hnsw-vector")
    for statement in EXACT:
        for query in queries[:6]:
            one, parts = (
                both.connection.execute(statement.replace("{c}", name), {"q": query}).fetchall()
                for name in (ONE, PARTS)
            )
            assert len(one) > 5, statement
            assert [(path.replace(PARTS, ONE), d) for path, d in parts] == one, statement


def test_embeddings_and_their_number_are_those_of_one_table(both: Database) -> None:
    # The images of the second collection were numbered after those of the first.
    for statement in (
        "SELECT embedding::text FROM spocdb.embeddings('{c}', ARRAY[1 + {first}, 5 + {first}])",
        "SELECT embedding::text FROM spocdb.embeddings_after('{c}', 9 + {first}, 40)",
        "SELECT spocdb.embedding('{c}', 77 + {first})::text",
        "SELECT spocdb.count_embeddings('{c}', 1)",
        "SELECT id - {first}, distance FROM spocdb.similar('{c}', 77 + {first}, 5, exact => true)",
    ):
        one, parts = (
            both.connection.execute(
                statement.replace("{c}", name).replace("{first}", str(first))
            ).fetchall()
            for name, first in ((ONE, 0), (PARTS, N))
        )
        assert one == parts and one, statement


def nearest(db: Database, query: Vector, k: int, is_exact: bool) -> dict[int, float]:
    statement = "SELECT id, distance FROM spocdb.search('parts', %s, %s, '{}', %s)"
    return dict(db.connection.execute(statement, [query, k, is_exact]).fetchall())


@pytest.mark.parametrize("kind", OURS)
def test_each_kind_is_measured_and_finds_what_is_wanted(
    both: Database, queries: list[Vector], kind: Kind
) -> None:
    recall = both.index.build(PARTS, kind)
    assert recall is not None and recall >= 0.985
    status = both.index.status(PARTS)[0]
    assert (status.kind, status.index) == (kind, "embeddings_2_1_hnsw")
    assert status.recall == pytest.approx(recall)
    assert (status.n_rows, (status.bytes or 0) > N * 50) == (N, True)
    parts = []
    with both.connection.transaction():
        (before,) = connections.one_row(both.connection, SCANS)
        for query, k in [(query, k) for query in queries for k in (10, 150)]:
            near, exact = (nearest(both, query, k, is_exact) for is_exact in (False, True))
            assert len(near) == k and list(near.values()) == sorted(near.values())
            assert all(near[id_] == exact[id_] for id_ in near.keys() & exact.keys())
            parts.append(len(near.keys() & exact.keys()) / k)
        (after,) = connections.one_row(both.connection, SCANS)
    assert np.mean(parts) >= 0.98
    assert after - before == len(parts) * N_PARTS


def test_scans_of_parts_are_as_narrow_as_the_wanted_recall_allows(
    both: Database, queries: list[Vector]
) -> None:
    narrowest = "SELECT min(ef_search) FROM spocdb.recalls WHERE collection_id = %s AND k = 10"
    for number, (name, width) in enumerate(((ONE, 16), (PARTS, 4)), 1):
        both.index.build(name)
        assert both.connection.execute(narrowest, [number]).fetchone() == (width,)
    both.connection.execute("SET spocdb.recall = 0.1")
    assert both.connection.execute("SELECT spocdb.ef_search(2, 1, 10)").fetchone() == (4,)
    statement = "SELECT method, count(*) FROM spocdb.search('parts', %s, 10) GROUP BY 1"
    for query in queries[:5]:
        assert both.connection.execute(statement, [query]).fetchall() == [("hnsw", 10)]


def test_searches_with_filters_scan_the_parts_until_there_are_enough(
    both: Database, queries: list[Vector]
) -> None:
    both.index.build(PARTS)
    found = both.connection.execute(
        "SELECT DISTINCT method FROM spocdb.search('parts', %s, 5, '{\"even\": true}')",
        [queries[0]],
    ).fetchall()
    assert found == [("exact",)], "few images"
    # As in a collection where an exact scan takes longer.
    body = both.connection.execute(
        "SELECT pg_get_functiondef('spocdb.search(text, vector, integer, jsonb, boolean, bigint)'"
        "::regprocedure)"
    ).fetchone()
    assert body
    both.connection.execute(
        body[0].replace(":= 5000", ":= 5").replace("least(1e9, sqrt(", "least(5, sqrt(")
    )
    statement = "SELECT id, distance, method FROM spocdb.search('parts', %s, 10, %s, %s)"
    for query in queries[:10]:
        near, exact = (
            both.connection.execute(statement, [query, json.dumps({"even": True}), is_exact])
            for is_exact in (False, True)
        )
        by_index, truth = near.fetchall(), exact.fetchall()
        assert {method for *_, method in by_index} == {"hnsw iterative"}
        assert len({id_ for id_, *_ in by_index} & {id_ for id_, *_ in truth}) >= 9


def test_hand_written_sql_merges_scans_of_all_parts_with_any_plan(
    both: Database, queries: list[Vector], plan: Plan
) -> None:
    both.index.build(PARTS, "hnsw-vector")
    db = both.connection
    # Of so few rows, sorting all is thought to be as quick.
    db.execute("SET enable_seqscan = off; SET enable_sort = off")
    db.execute(
        "PREPARE near (vector) AS SELECT path FROM spocdb.parts ORDER BY embedding <#> $1 LIMIT 5"
    )
    literal = "'" + queries[0].to_text() + "'"
    for mode in ("force_custom_plan", "force_generic_plan"):
        db.execute("SELECT set_config('plan_cache_mode', %s, false)", [mode])
        shown = plan(db, f"EXECUTE near({literal})")
        assert "Merge Append" in shown and "Sort  " not in shown
        for n in range(N_PARTS):
            assert f"Index Scan using {PART.format(n)}_hnsw on" in shown
    one_image = plan(db, "SELECT embedding FROM spocdb.embeddings_2_1 WHERE image_id = 950")
    assert "Append" not in one_image, "one part is enough"


def test_duplicates_are_those_of_one_table(both: Database) -> None:
    pairs = (
        "SELECT a, b, distance FROM spocdb.duplicate_pairs WHERE collection_id = %s ORDER BY 1, 2"
    )
    found = []
    for number, name in enumerate((ONE, PARTS), 1):
        both.index.build(name)
        both.duplicates.find(collection=name, distance=0.1)
        found.append(both.connection.execute(pairs, [number]).fetchall())
    assert found[0] == found[1] and len(found[0]) > 20


def test_deleted_images_leave_their_part_and_a_new_projection_has_parts_too(
    both: Database, queries: list[Vector], add_images: Callable[..., Any], clustered: Clustered
) -> None:
    both.index.build(PARTS)
    number = both.pca.fit(PARTS, dim=8)
    both.pca.activate(number, PARTS)
    assert [s.partitions for s in both.index.status(PARTS)] == [N_PARTS] * 2
    assert both.index.status(PARTS)[1].index == f"embeddings_2_{number}_hnsw"
    add_images(both.connection, clustered(20, seed=9), PARTS, first=5000)
    both.connection.execute(
        "DELETE FROM spocdb.images WHERE collection_id = 2 AND path < '/parts/0001'"
    )
    for table in ("embeddings_2_1", f"embeddings_2_{number}"):
        count = f"SELECT count(*) FROM spocdb.{table}"
        assert both.connection.execute(count).fetchone() == (N - 100 + 20,)
    assert both.pca.rollback(PARTS) == 1
    both.pca.drop(number, PARTS)
    both.drop(PARTS)
    left = "SELECT relname FROM pg_class WHERE relname LIKE 'embeddings\\_2\\_%'"
    assert both.connection.execute(left).fetchall() == []


def test_a_growth_by_a_quarter_is_seen_in_the_parts(
    both: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalls, "FEWEST", 100)
    target = collections.get(both.connection, PARTS)
    # As autovacuum does, which never looks at the whole table.
    for n in range(N_PARTS):
        both.connection.execute(f"ANALYZE spocdb.{PART.format(n)}")
    assert recalls.is_due(both.connection, target, 1)
    recalls.measure(both.connection, target, 1)
    assert not recalls.is_due(both.connection, target, 1)


def test_another_number_and_one_out_of_range_are_refused(
    both: Database, spocdb: Run, tmp_path: Any
) -> None:
    message = (
        r"collection parts has 3 partitions: run "
        r"`db.index.build\(collection='parts', partitions=4\)` to change that"
    )
    with pytest.raises(ConfigError, match=message):
        both.ingest(tmp_path, collection=PARTS, partitions=4)
    with pytest.raises(ConfigError, match=message):
        both.enqueue(tmp_path, collection=PARTS, partitions=4)
    for n in (0, 257):
        with pytest.raises(InvalidValue, match=f"partitions must be 1 to 256, not {n}"):
            both.ingest(tmp_path, collection="new", partitions=n)
        with pytest.raises(InvalidValue, match=f"partitions must be 1 to 256, not {n}"):
            both.index.build(PARTS, partitions=n)
    ran = spocdb("ingest", str(tmp_path), "-c", PARTS, "--partitions", "4", "--db", both.url)
    assert "spocdb index build --collection parts --partitions 4" in ran.stderr
