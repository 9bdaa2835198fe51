"""Contents near each other: found by the index, or by products with all contents in memory.

    contents -> index, more and more of the nearest  -> pairs
             -> products with all, in memory -> distances as the database has them -> pairs

The index takes about as long for each content; products take longer with each content there is, and
miss nothing.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spocdb.db import collections, duplicate_members, duplicate_pairs, duplicates, images, indexes
from spocdb.db.connections import Connection
from spocdb.db.duplicate_pairs import Near
from spocdb.db.spaces import Space
from spocdb.errors import InvalidValue
from spocdb.machine import memory
from spocdb.records import Float32Array
from spocdb.wording import counted

Hashes = NDArray[np.bytes_]

log = logging.getLogger(__name__)

# Contents of a transaction, by each way.
BY_INDEX, BY_PRODUCTS = 200, 2048
# Neighbours that are asked for at first, and how many times more if all of them are near.
FIRST_K, TIMES = 8, 8
# Neighbours that are stored of a content, the nearest ones.
MOST_NEIGHBOURS = 1000

# Part of the machine's memory for embeddings, which are there twice for a moment. In 1 GiB are
# 4,000,000 of 256 dimensions in int8, 1,000,000 in float32. With as many products are not slower
# than the index, which takes 3.4 ms for a content beside 100,000.
MEMORY_PART = 1 / 8
# Reading all embeddings takes as long as the index takes for one content in so many.
ONE_IN = 100
# Nobody waits for the index if fewer are due.
LEAST_DUE = 2000
# Farther apart than that, products say little: nearly everything is.
FARTHEST = 0.9


@dataclass(slots=True)
class Neighbours:
    """Finds the pairs of contents in a space; counts the crowded ones, and says so once."""

    connection: Connection
    space: Space
    loaded: "Loaded | None" = None
    n_crowded: int = field(default=0, init=False)

    @property
    def batch(self) -> int:
        """Return how many contents to compare at a time."""
        return BY_PRODUCTS if self.loaded else BY_INDEX

    @property
    def until(self) -> int | None:
        """Return the number of the last change that this way may compare; None for any."""
        return self.loaded.until if self.loaded else None

    def compare(self, contents: list[bytes], distance: float, *, is_strict: bool) -> None:
        """Store the pairs of contents with others up to a distance.

        Raises:
            InvalidValue: Half of them have too many neighbours, and `is_strict`.
        """
        asked = contents
        if self.loaded:
            a, b, asked, n_crowded = self.loaded.near(contents, distance)
            if is_strict:
                _refuse_many(distance, n_crowded, len(contents))
            duplicate_pairs.add_near(self.connection, self.space, a, b, distance)
        n_crowded = self._by_index(asked, distance)
        if is_strict:
            _refuse_many(distance, n_crowded, len(contents))
        self.n_crowded += n_crowded

    def _by_index(self, contents: list[bytes], distance: float) -> int:
        """Store pairs as far as the index finds them; return how many contents are crowded.

        The nearest are asked for, and more of them until one is farther.
        """
        n_crowded, asked, k = 0, contents, FIRST_K
        while asked:
            nearest_ones = self._nearest(asked, k)
            found, asked = [], []
            for content, nearest in nearest_ones.items():
                near = [row for row in nearest if row.distance <= distance and row.other != content]
                # One of k may be the content itself.
                if len(near) >= k - 1 and len(near) <= MOST_NEIGHBOURS:
                    asked.append(content)
                    continue
                n_crowded += len(near) > MOST_NEIGHBOURS
                near.sort(key=lambda row: (row.distance, row.other))
                found += [(content, row.other, row.distance) for row in near[:MOST_NEIGHBOURS]]
            duplicate_pairs.add(self.connection, self.space, found)
            k *= TIMES
        return n_crowded

    def _nearest(self, contents: list[bytes], k: int) -> dict[bytes, list[Near]]:
        """Return for each content the k nearest ones, or all there are.

        The index may end early, among hundreds of images of the same bytes.
        """
        found = _by_content(duplicate_pairs.nearest(self.connection, self.space, contents, k))
        ended = [content for content, nearest in found.items() if len(nearest) < k]
        if ended and images.count_contents(self.connection, self.space.collection) >= k:
            rows = duplicate_pairs.nearest(self.connection, self.space, ended, k, exact=True)
            found |= _by_content(rows)
        return found

    def tell(self) -> None:
        """Log that contents have more neighbours than are stored."""
        if self.n_crowded:
            log.warning(
                "%s: %s more than %s others as near as that: only the nearest are compared",
                self.space.collection.name,
                counted(self.n_crowded, "content has", "contents have"),
                f"{MOST_NEIGHBOURS:,}",
            )


def _by_content(rows: Iterable[Near]) -> dict[bytes, list[Near]]:
    found: dict[bytes, list[Near]] = defaultdict(list)
    for row in rows:
        found[row.content].append(row)
    return found


def _refuse_many(distance: float, n_crowded: int, of: int) -> None:
    if 2 * n_crowded >= of:
        many = f"smaller: half of the images have more than {MOST_NEIGHBOURS:,} as near as that"
        raise InvalidValue("distance", distance, many)


class Loaded:
    """The contents of a space, by sha256, and the products of their embeddings.

    The embedding of a content does not change. What is noted later may concern contents that are
    not in it, or whose pairs were forgotten: so it serves changes up to the number `until`.
    """

    def __init__(self, connection: Connection, space: Space) -> None:
        """Read one embedding of each content."""
        from spocdb.features.products import Products
        from spocdb.features.rounding import TILE

        with connection.transaction():
            # Otherwise a change under way may have an earlier number, and not be seen.
            collections.hold(connection, space.collection)
            self.until = duplicates.newest(connection, space)
        hashes: list[Hashes] = []

        def tiles() -> Iterator[Float32Array]:
            for rows in duplicate_pairs.embeddings(connection, space, TILE):
                hashes.append(np.ascontiguousarray(rows["sha256"]).view("S32"))
                yield rows["embedding"].astype(np.float32)

        self._products: Products = Products(tiles())
        self._hashes = np.concatenate([*hashes, np.empty(0, "S32")])
        self._order = np.argsort(self._hashes)

    def near(
        self, contents: list[bytes], distance: float
    ) -> tuple[list[bytes], list[bytes], list[bytes], int]:
        """Return pairs of contents that may be near: each one, and the other.

        Pairs with contents that were compared before are stored already. Also return the contents
        whose pairs are not all known, because they came later or are crowded, and the number of
        the latter.
        """
        wanted = np.array(contents, "S32")
        places = np.searchsorted(self._hashes, wanted, sorter=self._order)
        rows = self._order[np.minimum(places, len(self._order) - 1)]
        is_known = self._hashes[rows] == wanted
        if not is_known.any():
            return [], [], contents, 0
        found = self._products.near(rows[is_known], distance, MOST_NEIGHBOURS + 1)
        asked = np.concatenate([wanted[~is_known], self._hashes[found.crowded]])
        pairs = self._hashes[found.rows], self._hashes[found.columns]
        one, other = map(_bytes, pairs)
        return one, other, _bytes(asked), len(found.crowded)


def _bytes(hashes: Hashes) -> list[bytes]:
    # NumPy strips the zero bytes at the end of what it gives.
    return [sha256.ljust(32, b"\0") for sha256 in hashes.tolist()]


def chosen(connection: Connection, space: Space) -> Neighbours:
    """Return the faster way to compare what is due."""
    search, n_due = duplicates.find(connection, space), duplicates.n_due(connection, space)
    is_near = search and search.distance is not None and search.distance <= FARTHEST
    if not is_near or n_due < LEAST_DUE or not _is_worth(connection, space, n_due):
        return Neighbours(connection, space)
    duplicate_members.analyze(connection)
    return Neighbours(connection, space, Loaded(connection, space))


def _is_worth(connection: Connection, space: Space, n_due: int) -> bool:
    from spocdb.features.rounding import fastest

    n, dtype = images.count_contents(connection, space.collection), fastest(space.dim)
    has_index = indexes.exists(connection, space.collection, space.projection)
    if n * space.dim * dtype.itemsize <= MEMORY_PART * memory():
        return n <= ONE_IN * n_due or not has_index
    if not has_index:
        log.warning(
            "%s: %s contents do not fit in memory, and without an index each is compared with all "
            "in the database: run `db.index.build(collection=%s)` first",
            *(space.collection.name, f"{n:,}", repr(space.collection.name)),
        )
    return False
