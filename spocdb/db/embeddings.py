"""Embedding tables: add one to a collection, fill it from stored descriptors, activate it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from psycopg.sql import SQL, Composable, Identifier, Literal

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.copy import Rows, copy_in, copy_out, pieces
from spocdb.errors import ProjectionNotFound
from spocdb.records import Float32Array

# Rows per chunk; 8 MB for 512 half-precision values.
CHUNK_ROWS = 8192

EXTRACTOR = """
SELECT e.id, e.dim FROM spocdb.extractors e JOIN spocdb.projections p ON p.extractor_id = e.id
WHERE p.id = %s
"""

MISSING = """
COPY (
    SELECT i.id, i.sha256, d.descriptor
    FROM spocdb.images i
    JOIN spocdb.descriptors d ON d.extractor_id = {extractor} AND d.sha256 = i.sha256
    WHERE i.collection_id = {collection}
      AND NOT EXISTS (SELECT FROM spocdb.{table} e WHERE e.image_id = i.id)
) TO STDOUT (FORMAT binary)
"""

STAGE = """
CREATE TEMP TABLE {stage} (image_id bigint, sha256 bytea, embedding {type}) ON COMMIT DELETE ROWS
"""

# Concurrent batches may have changed images since they were read. ON CONFLICT keeps an embedding
# that a batch wrote; the join leaves out replaced and deleted images; FOR SHARE blocks changes of
# the others until the commit.
MERGE = """
INSERT INTO spocdb.{table} (image_id, embedding)
SELECT s.image_id, s.embedding FROM {stage} s
JOIN (
    SELECT id, sha256 FROM spocdb.images
    WHERE id IN (SELECT image_id FROM {stage}) ORDER BY path FOR SHARE
) i ON i.id = s.image_id AND i.sha256 = s.sha256
ON CONFLICT (image_id) DO NOTHING
"""


# Images without a raw descriptor, which `fill` cannot embed.
UNDESCRIBED = """
SELECT e.name, (
    SELECT count(*) FROM spocdb.images i
    WHERE i.collection_id = %s AND NOT EXISTS (
        SELECT FROM spocdb.descriptors d WHERE d.extractor_id = e.id AND d.sha256 = i.sha256))
FROM spocdb.extractors e JOIN spocdb.projections p ON p.extractor_id = e.id
WHERE p.id = %s
"""

COMPLETE = """
SELECT NOT EXISTS (
    SELECT FROM spocdb.images i WHERE i.collection_id = %s
    AND NOT EXISTS (SELECT FROM spocdb.{} e WHERE e.image_id = i.id))
"""

# Like MERGE; images that a concurrent batch adds keep the plain embedding that it wrote.
AUGMENT = """
WITH chunk AS (
    SELECT image_id, embedding FROM spocdb.{source}
    WHERE image_id > %(last)s ORDER BY image_id LIMIT 1000
), kept AS (
    SELECT id FROM spocdb.images WHERE id IN (SELECT image_id FROM chunk) ORDER BY path FOR SHARE
), written AS (
    INSERT INTO spocdb.{target} (image_id, embedding)
    SELECT s.image_id,
           spocdb.expand(%(collection)s, s.embedding::vector, %(neighbours)s, %(alpha)s)
    FROM chunk s JOIN kept ON kept.id = s.image_id
    ON CONFLICT (image_id) DO NOTHING
)
SELECT coalesce(max(image_id), 0), count(*) FROM chunk
"""


def table_of(connection: Connection, collection: Collection, projection_id: int) -> tuple[str, str]:
    """Return the embedding table's name and its column's type.

    Raises:
        ProjectionNotFound: the collection has no embedding table for the projection.
    """
    row = connection.execute(
        "SELECT spocdb.embedding_table(t.collection_id, t.projection_id), "
        "       format('%%s(%%s)', t.column_type, p.dim) "
        "FROM spocdb.embedding_tables t JOIN spocdb.projections p ON p.id = t.projection_id "
        "WHERE t.collection_id = %s AND t.projection_id = %s",
        [collection.id, projection_id],
    ).fetchone()
    if row is None:
        raise ProjectionNotFound(
            f"collection {collection.name} has no embeddings by projection {projection_id}: "
            f"run `db.pca.activate({projection_id}, collection={collection.name!r})`"
        )
    return row[0], row[1]


def add(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Add an embedding table for the projection to the collection, unless it has one."""
    connection.execute("SELECT spocdb.add_embedding_table(%s, %s)", [collection.id, projection_id])


def fill(
    reader: Connection,
    writer: Connection,
    collection: Collection,
    projection_id: int,
    project: Callable[[Float32Array], Float32Array],
) -> Iterator[int]:
    """Embed the images that the table lacks; yield the number of rows of each chunk.

    Reads stored raw descriptors (n, C) of the projection's extractor, never an image. `reader`
    prefetches the next chunk while `writer` writes one. Each chunk is committed, so that an
    interrupted fill continues where it stopped.
    """
    table, column = table_of(writer, collection, projection_id)
    extractor_id, channels = one_row(writer, EXTRACTOR, [projection_id])
    names: dict[str, Composable] = {
        "table": Identifier(table),
        "stage": Identifier(f"incoming_{table}"),
        "type": SQL(column),
        "extractor": Literal(extractor_id),
        "collection": Literal(collection.id),
    }
    writer.execute(SQL("DROP TABLE IF EXISTS {stage}").format(**names))
    writer.execute(SQL(STAGE).format(**names))
    missing = SQL(MISSING).format(**names)
    layout = {"id": "bigint", "sha256": "sha256", "descriptor": f"halfvec({channels})"}
    for rows in _ahead(reader, copy_out(reader, missing, layout, CHUNK_ROWS)):
        with writer.transaction():
            copy_in(
                writer,
                SQL("COPY {stage} FROM STDIN (FORMAT binary)").format(**names),
                _embed(rows, column, project),
            )
            writer.execute(SQL(MERGE).format(**names))
        yield len(rows)


def _ahead(reader: Connection, chunks: Iterator[Rows]) -> Iterator[Rows]:
    """Yield each chunk while a thread prefetches the next; on an error cancel the prefetch."""
    with ThreadPoolExecutor(1, "read") as pool:
        coming = pool.submit(next, chunks, None)
        try:
            while (rows := coming.result()) is not None:
                coming = pool.submit(next, chunks, None)
                yield rows
        except BaseException:
            # The executor waits for its thread, which the driver blocks until the server answers.
            if not coming.done():
                reader.cancel()
            raise


def _embed(
    rows: Rows, column: str, project: Callable[[Float32Array], Float32Array]
) -> Iterator[bytes]:
    fields = {"image_id": "bigint", "sha256": "sha256", "embedding": column}
    embeddings = project(rows["descriptor"].astype("f4"))
    columns = {"image_id": rows["id"], "sha256": rows["sha256"], "embedding": embeddings}
    return pieces(fields, columns)


def undescribed(
    connection: Connection, collection: Collection, projection_id: int
) -> tuple[str, int]:
    """Return a projection's extractor, and the number of images without its raw descriptor."""
    name, n_images = one_row(connection, UNDESCRIBED, [collection.id, projection_id])
    return name, n_images


def is_complete(connection: Connection, collection: Collection, projection_id: int) -> bool:
    """Tell whether a collection has an embedding table for a projection, with all its images."""
    table, _ = table_of(connection, collection, projection_id)
    return bool(one_row(connection, SQL(COMPLETE).format(Identifier(table)), [collection.id])[0])


def augment(
    connection: Connection,
    collection: Collection,
    projection_id: int,
    neighbours: int,
    alpha: float,
) -> Iterator[int]:
    """Fill an empty embedding table with the active embeddings, each expanded by its neighbours.

    Yields the number of rows of each chunk; each is committed.
    """
    source, _ = table_of(connection, collection, collection.active_projection_id)
    target, _ = table_of(connection, collection, projection_id)
    statement = SQL(AUGMENT).format(source=Identifier(source), target=Identifier(target))
    values = {"collection": collection.name, "neighbours": neighbours, "alpha": alpha, "last": 0}
    while True:
        last, n_rows = one_row(connection, statement, values)
        if not n_rows:
            return
        values["last"] = last
        yield n_rows


def analyze(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Run ANALYZE, because without it the planner assumes that a new table is empty."""
    table, _ = table_of(connection, collection, projection_id)
    connection.execute(SQL("ANALYZE spocdb.{}, spocdb.images").format(Identifier(table)))


def activate(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Activate the projection for the collection's searches, in one transaction.

    Raises:
        DatabaseError: the embeddings are missing, incomplete or not of length one.
    """
    connection.execute("SELECT spocdb.activate(%s, %s)", [collection.id, projection_id])


def drop(connection: Connection, collection: Collection, projection_id: int) -> None:
    """Drop the collection's embeddings by a projection that is not the active one."""
    table_of(connection, collection, projection_id)
    connection.execute("SELECT spocdb.drop_embedding_table(%s, %s)", [collection.id, projection_id])


def count(connection: Connection, collection: Collection, projection_id: int) -> int:
    """Count the rows of an embedding table."""
    table, _ = table_of(connection, collection, projection_id)
    return int(
        one_row(connection, SQL("SELECT count(*) FROM spocdb.{}").format(Identifier(table)))[0]
    )
