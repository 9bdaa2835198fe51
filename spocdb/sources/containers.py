"""Files that hold many images, archives and Parquet files, on this machine or in a bucket."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from spocdb.errors import ConfigError, ImageError, ImageVanished
from spocdb.sources import buckets, names
from spocdb.sources.buckets import Buckets, is_object
from spocdb.sources.far_files import FarFile, Window, told
from spocdb.sources.members import Opened, Readable

# Versions of objects that are believed until a read shows another one.
MOST_KNOWN = 2**17


class Containers:
    """Opens files by their names, and tells their versions. Threads may share it.

    `window` is the number of bytes of objects that are kept.
    """

    def __init__(self, buckets: Buckets, window: int) -> None:
        self._buckets, self._window = buckets, Window(window)
        self._known: dict[str, tuple[str, int]] = {}

    def open(self, path: str, what: str) -> Readable:
        """Open a file; errors call it `what`.

        Raises:
            ImageVanished: It cannot be opened.
            UnreadableImage: It is no URI of an object.
        """
        if not is_object(path):
            return Opened(path, what)
        try:
            version, size = self._look(path)
        except ImageVanished as error:
            raise ImageVanished(f"cannot read the {what}: {told(error)}") from error.__cause__
        return FarFile(
            *(self._buckets, self._window, path, version, size, what),
            lambda: self._forget(path),
        )

    def version_now(self, path: str) -> str:
        """Return the version of a file as a whole; empty if it is not there."""
        if not is_object(path):
            return names.version_now(path)
        try:
            return self._look(path)[0]
        except ImageError:
            return ""  # opening it says why

    def is_there(self, path: str) -> bool:
        """Return whether there is such a file; True if that cannot be said."""
        if not is_object(path):
            return names.is_there(path)
        try:
            self._look(path)
        except ImageError as error:
            return not buckets.is_missing(error)
        return True

    def check(self, roots: Sequence[str]) -> None:
        """Raise ConfigError for the first of these files that is not there, or cannot be read."""
        for root in roots:
            if not is_object(root) and not os.path.lexists(root):
                raise ConfigError(f"no such file or folder: {names.printable(root)}")
        with ThreadPoolExecutor(buckets.ASKED, "ask") as pool:
            for problem in pool.map(self._problem, filter(is_object, roots)):
                if problem:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise ConfigError(problem)

    def _problem(self, root: str) -> str | None:
        """Return why an object cannot be read."""
        try:
            self._look(root)
        except ImageError as error:
            return f"cannot read {root}: {told(error)}"
        return None

    def _look(self, name: str) -> tuple[str, int]:
        """Return the version and size of an object, as they were first seen. Raises ImageError."""
        if known := self._known.get(name):
            return known
        found = self._buckets.head(name)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        return self._known.setdefault(name, (buckets.version_of(found), found["size"]))

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
