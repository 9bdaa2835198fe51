"""A map of a collection: lay its embeddings out in two dimensions, and store the positions."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, get_args

import numpy as np

from spocdb import checks, machine
from spocdb.db import collections, embeddings, mapping, projections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.copy import Rows
from spocdb.db.maps import CollectionMap
from spocdb.db.search import snapshot
from spocdb.errors import ConfigError, UnknownChoice
from spocdb.features import layouts
from spocdb.features.projection import Moments, merge
from spocdb.records import Float32Array, Projection
from spocdb.wording import counted

log = logging.getLogger(__name__)

Method = Literal["auto", "umap", "components"]

# UMAP may take this part of the machine's memory.
MOST_OF_MEMORY = 0.6


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How a map is made.

    `neighbours`, 2 to 1000, is how many nearest images of each UMAP keeps near it; `min_distance`,
    0 to 1, how close it may put two images; `seed` makes its result reproducible.

    Raises:
        InvalidValue: a number is out of range.
        UnknownChoice: there is no such method.
    """

    method: Method = "auto"
    neighbours: int = 15
    min_distance: float = 0.1
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.method not in (known := get_args(Method)):
            raise UnknownChoice("method", self.method, known)
        checks.whole("neighbours", self.neighbours, 2, 1000)
        checks.number("min_distance", self.min_distance, 0, 1)
        if self.seed is not None:
            checks.whole("seed", self.seed, 0, 2**32 - 1)


def make(
    connection: Connection, collection: Collection, projection: int | None, options: MapOptions
) -> CollectionMap:
    """Lay out the embedded images of a collection and store the positions, in one transaction.

    Nothing is stored before all positions are computed. `projection` None is the active one.

    Raises:
        ProjectionNotFound: The collection has no embeddings by this projection.
        ConfigError: No image is embedded; umap-learn cannot be used; or UMAP would take too much
            memory.
        RightMissing: The role may not store maps.
    """
    if options.method == "umap":
        _require_umap()
    mapping.check_rights(connection)
    number = collections.as_if_active(connection, collection, projection).active_projection_id
    numbers = projections.load(connection, number)
    method, settings = "components", dict[str, Any]()
    # No transaction is open while UMAP computes.
    with snapshot(connection):
        source = _read(connection, collection, number, numbers.dim)
        positions = _components(source, numbers)
        rows = source.all() if _is_umap(source, options, positions) else None
    if rows is not None:
        positions = _umap(rows, options, positions)
        method, settings = "umap", _settings(options)
    columns = {**source.keys, "x": positions[:, 0], "y": positions[:, 1]}
    return mapping.store(connection, collection, number, method, settings, columns)


def _read(
    connection: Connection, collection: Collection, projection: int, dim: int
) -> "_Embeddings":
    n_embedded = embeddings.count(connection, collection, projection)
    if not n_embedded:
        raise ConfigError(
            f"collection {collection.name} has no embedded images, so there is nothing to map: "
            "run `db.ingest(FOLDER)` first"
        )
    log.info("reading %s", counted(n_embedded, "embedding"))
    return _Embeddings(connection, collection, projection, dim)


class _Embeddings:
    """The embedded images of a collection in a snapshot; each iteration streams them again.

    `keys` are the ids and hashes of those of the last iteration.
    """

    def __init__(
        self, connection: Connection, collection: Collection, projection: int, dim: int
    ) -> None:
        self.dim = dim
        self._stream: Callable[[list[int]], Iterator[Rows]] = lambda ids: mapping.embedded(
            connection, collection, projection, dim, ids
        )
        self._contents = mapping.contents(connection, collection)

    def __iter__(self) -> Iterator[Float32Array]:
        kept: list[Rows] = []
        for part in self._contents:
            for rows in self._stream(part["id"].tolist()):
                kept.append(part[np.isin(part["id"], rows["id"])])
                yield rows["embedding"].astype(np.float32)
        self._contents = kept

    def all(self) -> Float32Array:
        """Return all of them (n, N) at once."""
        found = np.empty((sum(map(len, self._contents)), self.dim), np.float32)
        n = 0
        for chunk in self:
            found[n : n + len(chunk)] = chunk
            n += len(chunk)
        return found

    @property
    def keys(self) -> dict[str, Any]:
        """Return the columns image_id and sha256."""
        found = np.concatenate(self._contents)
        return {"image_id": found["id"], "sha256": found["sha256"]}


def _components(source: _Embeddings, projection: Projection) -> Float32Array:
    if len(projection.components):
        return layouts.first_components(source, projection)
    # The raw projection has no components: those of these embeddings take their place.
    moments = reduce(merge, map(Moments.of, source))
    return layouts.along(source, moments.mean, layouts.main_axes(moments))


def _umap(rows: Float32Array, options: MapOptions, beginning: Float32Array) -> Float32Array:
    log.info("finding the %s nearest of each", options.neighbours)
    return layouts.umap_positions(
        rows,
        beginning,
        neighbours=options.neighbours,
        min_distance=options.min_distance,
        seed=options.seed,
    )


def _is_umap(source: _Embeddings, options: MapOptions, positions: Float32Array) -> bool:
    """Tell whether UMAP can lay these images out; log why not, unless components are wanted.

    Raises:
        ConfigError: UMAP is asked for, and would take too much memory.
    """
    if options.method == "components":
        return False
    if len(positions) < layouts.FEWEST_FOR_UMAP:
        return _instead(f"{counted(len(positions), 'image')} are too few for UMAP")
    if not np.ptp(positions, axis=0).any():
        return _instead("all embeddings are the same")
    needed = layouts.umap_bytes(len(positions), source.dim, options.neighbours)
    if needed > (most := MOST_OF_MEMORY * machine.memory()):
        what = f"UMAP needs about {needed / 2**30:.1f} GiB, and may take {most / 2**30:.1f} GiB"
        if options.method == "umap":
            raise ConfigError(f"{what} of memory: use `method='components'`, or fewer neighbours")
        return _instead(what)
    if options.method == "auto" and (reason := layouts.why_no_umap()):
        return _instead(reason)
    return True


def _instead(reason: str) -> bool:
    log.warning("%s: the map shows the first two components", reason)
    return False


def _require_umap() -> None:
    if reason := layouts.why_no_umap():
        raise ConfigError(f"{reason}: install it, or use `method='components'`")


def _settings(options: MapOptions) -> dict[str, Any]:
    return {
        "neighbours": options.neighbours,
        "min_distance": options.min_distance,
        "seed": options.seed,
        "metric": "euclidean",
    }
