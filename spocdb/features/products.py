"""Which embeddings are near each other: products of some of them with all, exact up to a margin.

    all embeddings -> rounded, in tiles -> products -> those that may be near enough

Each pair is computed once: rows that were asked for are left out of later products.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spocdb.features import rounding
from spocdb.features.rounding import ASKED, TILE, Rounded
from spocdb.machine import n_cores
from spocdb.records import Float32Array

# The tiles are made again without the rows that are done, when these are so large a part of them.
PART_DONE = 1 / 8

Indices = NDArray[np.int64]
NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs that may be near, each once: `rows[i]` of those asked for, and `columns[i]` of all.

    `crowded` are rows that have too many neighbours.
    """

    rows: Indices
    columns: Indices
    crowded: Indices


class Products:
    """All embeddings (n, N) of length one, in memory, to find the neighbours of some of them."""

    def __init__(self, parts: Iterable[Float32Array]) -> None:
        """Round the embeddings, which are numbered in the order in which they come.

        Parts (m, N) but the last one have TILE rows.
        """
        self._tiles = [rounding.rounded(part, rounding.fastest(part.shape[1])) for part in parts]
        n = sum(map(len, self._tiles))
        # Which row is at each place of the tiles, and at which place a row is.
        self._rows, self._places = np.arange(n), np.arange(n)
        # One thread each: a core that another program uses would let all threads of a product wait.
        self._pool = ThreadPoolExecutor(n_cores(), "products", torch.set_num_threads, (1,))
        self._is_done = np.zeros(n, np.bool_)
        # How many neighbours of each row are done.
        self._n_done = np.zeros(n, np.int64)

    def near(self, rows: Indices, distance: float, most: int) -> Found:
        """Return the pairs of rows with all others up to a cosine distance, and some farther.

        Rows are done then: their pairs are left out later. But those with more than `most`
        neighbours, themselves among them, are crowded, and not done: a pair with one of these is
        returned when the other row is asked for.
        """
        rows = np.unique(rows[~self._is_done[rows]])
        rows = rows[np.argsort(self._places[rows])]
        counts = self._n_done[rows]
        one, columns = self._hits(rows, counts, 1 - distance, most)
        is_crowded = counts > most
        self._is_done[rows[~is_crowded]] = True
        kept = ~is_crowded[one]
        one, columns = rows[one[kept]], columns[kept]
        # Two rows that are done now have each other, and itself.
        is_twice = self._is_done[columns]
        np.add.at(self._n_done, columns[~is_twice], 1)
        kept = ~is_twice | (one < columns)
        if self._is_done[self._rows].sum() > PART_DONE * len(self._rows):
            self._leave_out_done()
        return Found(one[kept], columns[kept], rows[is_crowded])

    def _hits(
        self, rows: Indices, counts: Indices, least: float, most: int
    ) -> tuple[Indices, Indices]:
        """Return which of the rows are near which others that are not done; add to their counts.

        Of a row that is crowded only some are returned.
        """
        size = max(1, min(ASKED, -(-len(rows) // n_cores())))
        parts = [slice(begin, begin + size) for begin in range(0, len(rows), size)]
        found = self._pool.map(
            lambda part: self._hits_of(self._of(rows[part]), counts[part], least, most), parts
        )
        pairs = [
            (one + part.start, columns) for part, (one, columns) in zip(parts, found, strict=True)
        ]
        one, columns = (np.concatenate(column) for column in zip(NOTHING, *pairs, strict=True))
        return one, columns

    def _hits_of(
        self, asked: Rounded, counts: Indices, least: float, most: int
    ) -> tuple[Indices, Indices]:
        found = [NOTHING]
        room = rounding.room(asked.values.dtype)
        for place, tile in zip(range(0, len(self._rows), TILE), self._tiles, strict=True):
            products = rounding.multiply(asked.values, tile.values, room)
            bounds = rounding.reach(asked, tile, least) / asked.scales
            is_hit = (products.amax(1) >= bounds).numpy() & (counts <= most)
            if not is_hit.any():
                continue
            hit = torch.from_numpy(np.flatnonzero(is_hit))
            near = rounding.pairs(products[hit], asked[hit], tile, least, bounds[hit])
            one, columns = hit[near[0]].numpy(), self._rows[place + near[1].numpy()]
            is_open = ~self._is_done[columns]
            counts += np.bincount(one[is_open], minlength=len(counts))
            found.append((one[is_open], columns[is_open]))
        one, columns = (np.concatenate(column) for column in zip(*found, strict=True))
        return one, columns

    def _of(self, rows: Indices) -> Rounded:
        """Return the embeddings of rows in the order of their places."""
        places = self._places[rows]
        tiles, begins = np.unique(places // TILE, return_index=True)
        ends = [*begins[1:], len(rows)]
        return rounding.joined(
            [
                self._tiles[tile][torch.from_numpy(places[begin:end] % TILE)]
                for tile, begin, end in zip(tiles, begins, ends, strict=True)
            ]
        )

    def _leave_out_done(self) -> None:
        """Make the tiles again without rows that are done; until then both are in memory."""
        rows = self._rows[~self._is_done[self._rows]]
        begins = range(0, len(rows), TILE)
        self._tiles = [self._of(rows[begin : begin + TILE]) for begin in begins]
        self._rows = rows
        self._places[rows] = np.arange(len(rows))
