"""A collection as a Parquet file, for other tools: streamed, so that memory does not grow."""

import importlib.util
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spocdb import outfiles
from spocdb.db import embeddings as embedding_tables
from spocdb.db import listing, mapping, maps, projections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.listing import StoredImage
from spocdb.errors import ConfigError, MapNotFound

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of a row group: ten pages of the listing, 10 MB with embeddings of 256 dimensions.
GROUP_ROWS = 10 * listing.PAGE

log = logging.getLogger(__name__)


def check(file: Path) -> None:
    """Refuse what cannot be written, before anything is read.

    Raises:
        ConfigError: pyarrow is missing, the name has another suffix, or the folder does not exist
            or is read-only.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("pyarrow is not installed: run `pip install 'spocdb[map]'`")
    outfiles.check(file, (".parquet",))


def write(
    connection: Connection,
    collection: Collection,
    projection: int,
    file: Path,
    *,
    embeddings: bool,
) -> int:
    """Write a collection's images, with their positions on the map by a projection.

    The file is written under another name and renamed when it is complete.

    Raises:
        ConfigError: The file cannot be written.
        ProjectionNotFound: The collection has no embeddings by this projection.
        MapNotFound: The map was replaced or dropped while it was read.
    """
    from pyarrow import parquet

    embedding_tables.table_of(connection, collection, projection)
    dim = projections.load(connection, projection).dim if embeddings else None
    map_id = _map_of(connection, collection, projection)
    schema, n_rows = _schema(dim), 0
    with outfiles.replaced(file) as fresh:
        with parquet.ParquetWriter(fresh, schema, compression="zstd") as writer:
            for images in _groups(connection, collection):
                rows = _columns(connection, collection, images, map_id)
                if dim is not None:
                    rows["embedding"] = _embeddings(connection, collection, projection, dim, images)
                writer.write_table(_table(rows, schema))
                n_rows += len(images)
        _refuse_mixed(connection, collection, map_id)
    return n_rows


def _map_of(connection: Connection, collection: Collection, projection: int) -> int | None:
    try:
        found = maps.find(connection, collection, projection)
    except MapNotFound as exc:
        log.warning("x and y are empty: %s", exc)
        return None
    if found.n_without:
        log.warning("%s", maps.without(found))
    return found.id


def _refuse_mixed(connection: Connection, collection: Collection, map_id: int | None) -> None:
    # Each page is a statement of its own: after another map was stored, rows have no position.
    if map_id is not None and not maps.exists(connection, map_id):
        raise MapNotFound(
            f"the map of {collection.name} was replaced or dropped meanwhile: export again"
        )


def _groups(connection: Connection, collection: Collection) -> Iterator[list[StoredImage]]:
    """Yield the images by their path, those of a row group at a time."""
    group: list[StoredImage] = []
    for image in listing.listed(connection, collection, {}):
        group.append(image)
        if len(group) == GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _columns(
    connection: Connection,
    collection: Collection,
    images: Sequence[StoredImage],
    map_id: int | None,
) -> dict[str, Any]:
    ids = [image.id for image in images]
    placed = {} if map_id is None else maps.positions_of(connection, map_id, ids)
    nowhere = (None, None)
    return {
        "id": ids,
        "path": [image.path for image in images],
        "width": [image.width for image in images],
        "height": [image.height for image in images],
        "metadata": [json.dumps(image.metadata, ensure_ascii=False) for image in images],
        "x": [placed.get(id, nowhere)[0] for id in ids],
        "y": [placed.get(id, nowhere)[1] for id in ids],
    }


def _embeddings(
    connection: Connection,
    collection: Collection,
    projection: int,
    dim: int,
    images: Sequence[StoredImage],
) -> Any:
    """Return the embeddings of images in their order, null where an image has none yet."""
    import pyarrow as pa

    place = {image.id: n for n, image in enumerate(images)}
    values, is_null = np.zeros((len(images), dim), np.float32), np.ones(len(images), bool)
    for rows in mapping.embedded(connection, collection, projection, dim, sorted(place)):
        at = [place[id] for id in rows["id"].tolist()]
        values[at], is_null[at] = rows["embedding"], False
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, dim, mask=pa.array(is_null))


def _schema(dim: int | None) -> "pa.Schema":
    import pyarrow as pa

    fields = [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        pa.field("x", pa.float32()),
        pa.field("y", pa.float32()),
    ]
    if dim is not None:
        fields.append(pa.field("embedding", pa.list_(pa.float32(), dim)))
    return pa.schema(fields)


def _table(columns: dict[str, Any], schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    return pa.table(columns, schema=schema)
