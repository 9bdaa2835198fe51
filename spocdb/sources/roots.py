"""The paths and URIs that a user gave to a source, and which stored names belong to them."""

import os
from collections.abc import Iterable

from spocdb.sources import buckets, names


class Roots:
    """Absolute paths, URIs of objects and URLs, each once.

    Raises:
        ConfigError: A URI is of no bucket, or holds credentials.
    """

    def __init__(self, given: Iterable[str | os.PathLike[str]]) -> None:
        self.paths = list(dict.fromkeys(map(_absolute, given)))
        self.names = frozenset(names.printable(path) for path in self.paths)
        self._inside = tuple(os.path.join(name, "") for name in self.names)

    def cover(self, name: str) -> bool:
        """Return whether a stored name is one of them, or below one."""
        return name.startswith(self._inside) or name in self.names


def _absolute(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    if not names.is_uri(text):
        return os.path.abspath(text)
    if not buckets.is_object(text):
        return text
    buckets.check(text)
    return text.rstrip("/")
