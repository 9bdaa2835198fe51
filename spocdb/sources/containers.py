"""Files that hold many images, archives and Parquet files: here, in a bucket, or behind a URL."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from spocdb.errors import ConfigError, ImageError, ImageVanished
from spocdb.sources import buckets, names
from spocdb.sources.buckets import is_object
from spocdb.sources.far_files import FarFile, Window, told
from spocdb.sources.far_urls import FarUrls
from spocdb.sources.members import Opened, Readable
from spocdb.sources.source import Terms
from spocdb.sources.urls import is_url

# Versions of far files that are believed until a read shows another one.
MOST_KNOWN = 2**17


def is_far(name: str) -> bool:
    """Return whether a name is of an object of a bucket, or a URL."""
    return is_object(name) or is_url(name)


class Containers:
    """Opens files by their names, and tells their versions. Threads may share it."""

    def __init__(self, terms: Terms) -> None:
        self._buckets, self._urls = terms.buckets, FarUrls(terms.allow_private)
        self._window = Window(terms.window)
        self._known: dict[str, tuple[str, int]] = {}

    def open(self, path: str, what: str) -> Readable:
        """Open a file; errors call it `what`.

        Raises:
            ImageVanished: It cannot be opened.
            UnreadableImage: It is no URI of an object, or a URL that cannot be read in parts.
        """
        if not is_far(path):
            return Opened(path, what)
        try:
            version, size = self._look(path)
        except ImageVanished as error:
            raise ImageVanished(f"cannot read the {what}: {told(error)}") from error.__cause__
        storage = self._urls if is_url(path) else self._buckets
        return FarFile(
            *(storage.get_range, self._window, path, version, size, what),
            lambda: self._forget(path),
        )

    def version_now(self, path: str) -> str:
        """Return the version of a file as a whole; empty if it is not there."""
        if not is_far(path):
            return names.version_now(path)
        try:
            return self._look(path)[0]
        except ImageError:
            return ""  # opening it says why

    def is_there(self, path: str) -> bool:
        """Return whether there is such a file; True if that cannot be said."""
        if not is_far(path):
            return names.is_there(path)
        try:
            self._look(path)
        except ImageError as error:
            return not buckets.is_missing(error)
        return True

    def check(self, roots: Sequence[str]) -> None:
        """Raise ConfigError for the first of these files that is not there, or cannot be read."""
        for root in roots:
            if not is_far(root) and not os.path.lexists(root):
                raise ConfigError(f"no such file or folder: {names.printable(root)}")
        with ThreadPoolExecutor(buckets.ASKED, "ask") as pool:
            for problem in pool.map(self._problem, filter(is_far, roots)):
                if problem:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise ConfigError(problem)

    def _problem(self, root: str) -> str | None:
        """Return why a far file cannot be read."""
        try:
            self._look(root)
        except ImageError as error:
            return f"cannot read {root}: {told(error)}"
        return None

    def _look(self, name: str) -> tuple[str, int]:
        """Return the version and size of a far file, as they were first seen. Raises ImageError."""
        if known := self._known.get(name):
            return known
        found = (self._urls if is_url(name) else self._buckets).look(name)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        return self._known.setdefault(name, found)

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
