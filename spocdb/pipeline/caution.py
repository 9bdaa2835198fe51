"""Caution: after a run was killed, the first images are decoded in a separate process.

It is unknown which image killed a run, by a crash of its decoder or by lack of memory. But files
come in a fixed order and stored ones are skipped, so that image is among the first of the next run.
There it kills only the separate process, and is listed as a failure with ProcessLost.
"""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from threading import Lock

from spocdb.images.apart import Apart
from spocdb.recipe_options import Fit
from spocdb.records import Canvas, Decoded, ImageRef


class Caution(AbstractContextManager["Caution"]):
    """Decodes apart the first `n` images, and those of `names`, which failed with ProcessLost."""

    def __init__(self, n: int = 0, names: Collection[str] = ()) -> None:
        self._n_left, self._names = n, frozenset(names)
        self._apart, self._lock = Apart(), Lock()

    def covers(self, refs: Iterable[ImageRef]) -> bool:
        """Return whether an image of these names is to be decoded apart.

        To be called once per image. Thread-safe.
        """
        with self._lock:
            self._n_left -= 1
            return self._n_left >= 0 or any(ref.name in self._names for ref in refs)

    def decode(self, data: bytes, size: int, fit: Fit, max_pixels: int, canvas: Canvas) -> Decoded:
        """Decode in the separate process.

        Raises:
            ProcessLost: The separate process died.
            ImageError: The image is bad.
        """
        return self._apart.decode(data, size, fit, max_pixels, canvas)

    def __exit__(self, *exc_info: object) -> None:
        self._apart.close()
