"""Caution: after a run that was killed, images are decoded in a process of their own at first.

Nobody knows which image killed a run, by a crash of its decoder or for want of memory. But files
come in a fixed order and stored ones are skipped, so it is among the first of the next run. There
it ends only the process apart, is listed as ProcessLost, and is left out like any other failure.
"""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from threading import Lock

from spocdb.images.apart import Apart
from spocdb.recipe_options import Fit
from spocdb.records import Canvas, Decoded, ImageRef


class Caution(AbstractContextManager["Caution"]):
    """Decodes apart the first `n` images, and always those of `names`, which were lost before."""

    def __init__(self, n: int = 0, names: Collection[str] = ()) -> None:
        self._n_left, self._names = n, frozenset(names)
        self._apart, self._lock = Apart(), Lock()

    def covers(self, refs: Iterable[ImageRef]) -> bool:
        """Tell whether an image of these names is to be decoded apart.

        Each image is asked about once, by any thread.
        """
        with self._lock:
            self._n_left -= 1
            return self._n_left >= 0 or any(ref.name in self._names for ref in refs)

    def decode(self, data: bytes, size: int, fit: Fit, max_pixels: int, canvas: Canvas) -> Decoded:
        """Decode in the process apart. Raises ProcessLost, and ImageError as `decode` does."""
        return self._apart.decode(data, size, fit, max_pixels, canvas)

    def __exit__(self, *exc_info: object) -> None:
        self._apart.close()
