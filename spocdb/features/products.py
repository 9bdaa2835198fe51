"""Which embeddings are near each other: products of some of them with all, exact up to a margin.

    all embeddings -> tiles of a fixed number of rows -> products -> those that may be near enough

A tile's products stay in the processor's cache, so a product costs as much as its arithmetic.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spocdb.features.devices import fastest_dtype, find_devices
from spocdb.records import Float32Array

# Rows of a tile.
TILE = 4096
# Embeddings whose products with a tile are compared with float32's.
N_PROOF = 16
# Relative rounding errors: half of the distance between two neighbouring numbers.
ROUNDING = {torch.bfloat16: 2.0**-9, torch.float32: 2.0**-24}

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs that may be near: `rows[i]` of those asked for, and `columns[i]` of all.

    `crowded` are rows that have too many, whose pairs are left out.
    """

    rows: Indices
    columns: Indices
    crowded: Indices


class Products:
    """All embeddings (n, dim) of length one, in memory, to find the neighbours of some of them."""

    def __init__(self, tiles: Iterable[Float32Array]) -> None:
        """Keep tiles of TILE rows, the last one with fewer."""
        self._tiles: list[Tensor] = []
        self._dtype = fastest()
        for tile in tiles:
            whole = torch.from_numpy(np.ascontiguousarray(tile))
            if not self._tiles and not _is_fine(whole, self._dtype):
                self._dtype = torch.float32
            self._tiles.append(whole.to(self._dtype))

    def near(self, rows: Indices, distance: float, most: int) -> Found:
        """Return the pairs of rows with all up to a cosine distance, and some a little farther.

        Rows with more than `most` are crowded; each row counts as its own neighbour.
        """
        asked = torch.stack([self._tiles[row // TILE][row % TILE] for row in rows.tolist()])
        least = 1 - distance - margin(self._dtype, asked.shape[1])
        counts = np.zeros(len(rows), np.int64)
        found: list[tuple[Indices, Indices]] = []
        for number, tile in enumerate(self._tiles):
            products = asked @ tile.T
            hit = np.flatnonzero(_any_at_least(products, least) & (counts <= most))
            if not len(hit):
                continue
            one, other = torch.nonzero(products[torch.from_numpy(hit)] >= least, as_tuple=True)
            where = hit[one.numpy()]
            counts += np.bincount(where, minlength=len(rows))
            found.append((where, other.numpy() + number * TILE))
        where, other_rows = (np.concatenate(part) for part in zip(*found, strict=True))
        kept = counts[where] <= most
        return Found(where[kept], other_rows[kept], np.flatnonzero(counts > most))


def fastest() -> torch.dtype:
    """Return the type that the processor multiplies fastest; use the cores of this process."""
    return fastest_dtype(find_devices("cpu")[0])


def margin(dtype: torch.dtype, dim: int) -> float:
    """Return how much a product of two vectors of length one may differ from the database's.

    Both are rounded to `dtype`: by the inequality of Cauchy and Schwarz that changes the product by
    at most twice the relative error, and its square. Sums of `dim` float32 numbers, here and there,
    add their own. The rounding of the product itself counts not: the bound is rounded alike.
    """
    rounding = ROUNDING[dtype]
    return 1.01 * (2 * rounding + rounding**2 + 2 * dim * ROUNDING[torch.float32]) + 1e-5


def _is_fine(tile: Tensor, dtype: torch.dtype) -> bool:
    """Tell whether products of this type are within their margin, on this processor."""
    fast = (tile[:N_PROOF].to(dtype) @ tile.to(dtype).T).float()
    exact = tile[:N_PROOF].double() @ tile.double().T
    bound = margin(dtype, tile.shape[1]) + exact.abs() * ROUNDING[dtype]
    return bool(((fast - exact).abs() <= bound).all())


def _any_at_least(products: Tensor, least: float) -> NDArray[np.bool_]:
    """Tell for each row whether a product is at least so large."""
    if products.dtype == torch.bfloat16 and least > 0:
        # The bits of positive numbers have their order, and those of negative ones are negative.
        # The maximum of integers takes a third of the time.
        bound = torch.tensor(least, dtype=torch.bfloat16).view(torch.int16)
        return (products.view(torch.int16).amax(1) >= bound).numpy()
    return (products.amax(1) >= torch.tensor(least, dtype=products.dtype)).numpy()
