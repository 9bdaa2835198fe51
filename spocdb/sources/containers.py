"""Files that hold many images, archives and Parquet files: here, in a bucket, or behind a URL."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from spocdb.errors import ConfigError, ImageError, ImageVanished, UnreadableImage
from spocdb.sources import buckets, far_files, names
from spocdb.sources.buckets import is_object
from spocdb.sources.far_files import Far, FarFile, Window, told
from spocdb.sources.far_streams import FarStream
from spocdb.sources.far_urls import WHOLE, FarUrls
from spocdb.sources.members import Opened, Readable
from spocdb.sources.source import Terms
from spocdb.sources.urls import is_url
from spocdb.sources.walkers import TRIED_AFTER

if TYPE_CHECKING:
    from spocdb.sources.streams import Body

# Versions of far files that are believed until a read shows another one.
MOST_KNOWN = 2**17


def is_far(name: str) -> bool:
    """Return whether a name is of an object of a bucket, or a URL."""
    return is_object(name) or is_url(name)


def problem(name: str) -> str | None:
    """Return why an image of a container cannot be stored under its name; None if it can."""
    if names.has_query(name):
        return "its name has a ? or #, where a URL's path ends: download its archive or file first"
    return names.problem(name)


class Containers:
    """Opens files by their names, and tells their versions. Threads may share it.

    `reads_in_order` tells which files may come from servers that send no parts of them.
    """

    def __init__(
        self, terms: Terms, reads_in_order: Callable[[str], bool] = lambda name: False
    ) -> None:
        self._reads_in_order = reads_in_order
        self._buckets, self._urls = terms.buckets, FarUrls(terms.allow_private)
        self._window = Window(terms.window)
        self._known: dict[str, Far] = {}
        self._failed: dict[str, tuple[float, ImageError]] = {}
        self._bodies: WeakValueDictionary[tuple[str, str], Body] = WeakValueDictionary()

    def open(self, path: str, what: str) -> Readable:
        """Open a file; errors call it `what`.

        Raises:
            ImageVanished: It cannot be opened.
            UnreadableImage: It is no URI of an object, or a URL that cannot be read in parts.
        """
        if not is_far(path):
            return Opened(path, what)
        try:
            far = self._look(path)
        except ImageVanished as error:
            raise ImageVanished(f"cannot read the {what}: {told(error)}") from error.__cause__
        described = (self._window, path, far.version, far.size, what, lambda: self._forget(path))
        if not far.in_parts:
            return FarStream(self._body(path, far.version), *described)
        storage = self._urls if is_url(path) else self._buckets
        return FarFile(storage.get_range, *described)

    def version_now(self, path: str) -> str:
        """Return the version of a file as a whole; empty if it is not there."""
        if not is_far(path):
            return names.version_now(path)
        try:
            return self._look(path).version
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

    def _look(self, name: str) -> Far:
        """Return what is known of a far file, as it was first seen.

        A server that does not answer takes seconds, and is not asked again for each image.

        Raises:
            ImageError: It cannot be read, or could not a while ago.
        """
        if known := self._known.get(name):
            return known
        if failed := self._failed.get(name):
            since, why = failed
            if time.monotonic() < since + TRIED_AFTER:
                raise why.with_traceback(None)
        try:
            found = self._behind(name) if is_url(name) else Far(*self._buckets.look(name))
        except ImageError as error:
            _make_room(self._failed)
            self._failed[name] = time.monotonic(), error
            raise
        _make_room(self._known)
        return self._known.setdefault(name, found)

    def _behind(self, url: str) -> Far:
        found = self._urls.look(url)
        if not found.in_parts and not self._reads_in_order(url):
            raise UnreadableImage(WHOLE)
        return found

    def _body(self, url: str, version: str) -> "Body":
        """Return the body of a file, which all that read it share."""
        found = self._bodies.get((url, version))
        if found is None:
            found = self._bodies[url, version] = self._urls.body(url, version, far_files.BLOCK)
        return found

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)


def _make_room(known: dict[str, Any]) -> None:
    if len(known) >= MOST_KNOWN:
        known.clear()
