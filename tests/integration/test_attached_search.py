"""An application's own SQL over an attached collection uses the index, and gets k rows."""

from collections.abc import Callable, Iterator

import numpy as np
import psycopg
import pytest
from pgvector import Vector
from psycopg.conninfo import make_conninfo

from spocdb.db import attachments, collections, connections, indexes, projections, writing
from spocdb.db.attachments import Attachment
from spocdb.db.batch import Batch
from spocdb.features.projection import project
from spocdb.records import Float32Array, ImageRef, NewDescriptor, Recipe

Plan = Callable[..., str]

N_ROWS, DIM = 4000, 32


@pytest.fixture(scope="module")
def descriptors(clustered: Callable[..., Float32Array]) -> Float32Array:
    """Return the descriptors of the products, by id."""
    return clustered(N_ROWS, DIM)


@pytest.fixture(scope="module")
def shop_template(
    server: str, template: str, made_up: Recipe, descriptors: Float32Array
) -> Iterator[str]:
    """Return a database with an attached table of products, embedded as by a worker."""
    name = "spocdb_shop"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        with connections.connect(make_conninfo(server, dbname=name)) as connection:
            connection.execute(
                "CREATE TABLE products (id integer PRIMARY KEY, photo text, part integer)"
            )
            # `part` selects a hundredth or a thousandth of the rows, independent of the photos.
            connection.execute(
                "INSERT INTO products SELECT n, n || '.jpg', (n * 7919) %% 1000 "
                "FROM generate_series(1, %s) n",
                [N_ROWS],
            )
            collections.add_extractor(connection, made_up, DIM)
            attachment = Attachment("public.products", "id", "photo", root="/photos")
            attachments.attach(connection, attachment, None, made_up.name)
            target = collections.get(connection, "products")
            hashes = [n.to_bytes(32) for n in range(N_ROWS)]
            batch = Batch(
                images=[(ImageRef(str(n + 1)), h) for n, h in enumerate(hashes)],
                descriptors={
                    h: NewDescriptor(4, 3, row) for h, row in zip(hashes, descriptors, strict=True)
                },
            )
            raw = projections.load(connection, target.active_projection_id)
            writing.make_staging(connection)
            # The index is built after the load, which takes a fraction of the time.
            connection.execute("DROP INDEX spocdb.embeddings_1_1_hnsw")
            writing.write(connection, target, batch, lambda _, rows: project(rows, raw))
            indexes.build(connection, target, target.active_projection_id)
            # A collection of files beside it, whose paths are no integers.
            connection.execute(
                "SELECT spocdb.create_collection('photos', id) FROM spocdb.extractors"
            )
            connection.execute(
                "INSERT INTO spocdb.images "
                "(collection_id, path, sha256, size, version, width, height) "
                "SELECT c.id, '/photos/' || n || '.jpg', sha256(n::text::bytea), 1, '1 1', 4, 3 "
                "FROM spocdb.collections c, generate_series(1, 2000) n WHERE c.name = 'photos'"
            )
            connection.execute("VACUUM ANALYZE")
        yield name
        admin.execute(f"DROP DATABASE {name}")


@pytest.fixture
def connection(
    make_database: Callable[[str], str], shop_template: str
) -> Iterator[connections.Connection]:
    """Return a connection to a copy of the shop."""
    with connections.connect(make_database(shop_template)) as connection:
        yield connection


NEAREST = """
SELECT p.id FROM products p JOIN spocdb.products s USING (id)
WHERE p.part < {part} ORDER BY s.embedding <#> {query} LIMIT 10
"""


def nearest(descriptors: Float32Array, query: Float32Array, part: int) -> list[int]:
    """Return the ids of the ten nearest with such a part, by NumPy."""
    order = np.argsort(-(descriptors @ query))
    return [int(n) + 1 for n in order if (int(n) + 1) * 7919 % 1000 < part][:10]


@pytest.mark.parametrize("generic", [False, True])
def test_a_join_with_the_applications_table_is_a_scan_of_the_index(
    connection: connections.Connection, plan: Plan, descriptors: Float32Array, generic: bool
) -> None:
    if generic:
        connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(
        "PREPARE nearest (vector) AS SELECT p.* FROM products p JOIN spocdb.products s USING (id) "
        "ORDER BY s.embedding <#> $1 LIMIT 10"
    )
    shown = plan(connection, f"EXECUTE nearest ('{descriptors[0].tolist()}')")
    assert "Index Scan using embeddings_1_1_hnsw" in shown
    assert "Seq Scan" not in shown


@pytest.mark.parametrize("part", [10, 100])
def test_a_where_of_the_applications_own_gets_all_its_rows(
    connection: connections.Connection, plan: Plan, descriptors: Float32Array, part: int
) -> None:
    """The application's WHERE leaves one row of a hundred, or of ten."""
    # For so few rows the planner would compare all; the test needs the index.
    connection.execute(
        "SET enable_sort = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )
    statement = NEAREST.format(query="%s", part=part)
    fewer = 0
    for query in descriptors[::400]:
        parameters = [Vector(query)]
        assert "embeddings_1_1_hnsw" in plan(connection, statement, parameters)
        fewer += len(connection.execute(statement, parameters).fetchall()) < 10
        with connection.transaction():
            connection.execute("SELECT spocdb.iterative_scan()")
            found = [row[0] for row in connection.execute(statement, parameters)]
        assert len(found) == 10
        assert len({*found} & {*nearest(descriptors, query, part)}) >= 9
        shown = connection.execute("SHOW hnsw.iterative_scan").fetchone()
        assert shown == ("off",)
    assert fewer > 0
    connection.execute("SELECT spocdb.iterative_scan(true)")
    assert len(connection.execute(statement, [Vector(descriptors[5])]).fetchall()) == 10


@pytest.mark.parametrize("part", [1, 10, 100, 1000])
def test_the_plan_that_postgresql_chooses_gives_all_rows_too(
    connection: connections.Connection, descriptors: Float32Array, part: int
) -> None:
    with connection.transaction():
        connection.execute("SELECT spocdb.iterative_scan()")
        for query in descriptors[::800]:
            rows = connection.execute(NEAREST.format(query="%s", part=part), [Vector(query)])
            found = [row[0] for row in rows]
            expected = nearest(descriptors, query, part)
            assert len(found) == len(expected) == min(10, N_ROWS * part // 1000)
            assert len({*found} & {*expected}) >= 0.9 * len(expected)


def test_a_row_is_found_by_its_key_without_a_scan(
    connection: connections.Connection, plan: Plan
) -> None:
    by_key = "SELECT s.embedding FROM spocdb.products s WHERE s.id = {}"
    for shown in (
        plan(connection, by_key.format(42)),
        plan(connection, by_key.format("ANY ('{42,43}')")),
        plan(connection, by_key.format("(SELECT max(id) FROM products)")),
    ):
        assert "images_key_1" in shown
        assert "Seq Scan" not in shown
    assert len(connection.execute(by_key.format(42)).fetchall()) == 1
    # In any order of evaluation, no path of a file is cast to a key.
    connection.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
    assert len(connection.execute(by_key.format(42)).fetchall()) == 1
    joined = "SELECT count(*) FROM products p JOIN spocdb.products s USING (id)"
    assert connection.execute(joined).fetchone() == (N_ROWS,)


def test_the_functions_know_rows_by_their_keys(
    connection: connections.Connection, descriptors: Float32Array
) -> None:
    rows = connection.execute(
        "SELECT key::integer, method FROM spocdb.similar_rows('products', 42)"
    ).fetchall()
    assert [method for _, method in rows] == ["hnsw"] * 10
    expected = [n for n in np.argsort(-(descriptors @ descriptors[41])) + 1 if n != 42][:10]
    assert len({key for key, _ in rows} & {*expected}) >= 9
    connection.execute("DELETE FROM products WHERE id = %s", [rows[0][0]])
    again = connection.execute("SELECT key::integer FROM spocdb.similar_rows('products', '42')")
    assert rows[0][0] not in {key for (key,) in again}
    with pytest.raises(psycopg.errors.NoDataFound, match="no image of row '5000'"):
        connection.execute("SELECT * FROM spocdb.similar_rows('products', 5000)")
    with pytest.raises(psycopg.errors.InvalidName, match="no table is attached"):
        connection.execute("SELECT * FROM spocdb.similar_rows('photos', 1)")
