"""Grey of more than eight bits -> grey of eight."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spocdb.records import Float64Array

# Pixels converted at a time, so that a large picture needs no whole copy in float64.
BAND = 2**18


def to_grey(
    values: NDArray[np.generic], white: float | None = None, *, inverted: bool = False
) -> Image.Image:
    """Scale grey values (H, W) to a picture of mode L.

    `white` is the brightest value of the sample format, or None if the format does not define it.
    Then the range is the smallest usual one that contains the values, else from the least to the
    greatest value. `inverted` is for formats whose white is zero.
    """
    black, white = (0, white) if white else _range(values)
    scale = 255 / ((white - black) or 1)
    grey = np.empty(values.shape, np.uint8)
    for rows, band in _bands(values):
        scaled = (band * scale - black * scale).clip(0, 255)
        grey[rows] = np.rint(255 - scaled if inverted else scaled)
    return Image.fromarray(grey)


def _range(values: NDArray[np.generic]) -> tuple[float, float]:
    ranges = [(band.min(), band.max()) for _, band in _bands(values)]
    low, high = float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))
    for white in (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535):
        if low >= 0 and high <= white:
            return 0, white
    return low, high


def _bands(values: NDArray[np.generic]) -> Iterator[tuple[slice, Float64Array]]:
    """Yield rows and their values; NaN and infinity become zero."""
    height = max(1, BAND // values.shape[1])
    for top in range(0, values.shape[0], height):
        rows = slice(top, top + height)
        yield rows, np.nan_to_num(np.asarray(values[rows], np.float64), posinf=0, neginf=0)
