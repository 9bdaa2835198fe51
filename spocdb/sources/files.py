"""Image files under given paths, as a source."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.images.regular import read_bytes
from spocdb.records import Contents, ImageRef
from spocdb.sources import kinds, names
from spocdb.sources.kinds import LeftOut
from spocdb.sources.roots import Roots
from spocdb.sources.source import Get, Known, Ref, Terms, nothing_known
from spocdb.sources.walking import walk


class FilesSource:
    """The image files under some paths; without paths, any file by its name."""

    # A folder that cannot be listed ends the run.
    whole: Sequence[Contents] = ()

    def __init__(self, paths: Sequence[str | Path] = (), terms: Terms | None = None) -> None:
        self._given = Roots(paths)
        self.roots = self._given.paths
        self._terms = terms or Terms()
        self.left_out = self._terms.left_out

    def refs(self, known: Known = nothing_known) -> Iterator[ImageRef]:
        """List the files.

        Raises:
            ConfigError: At once for a path that does not exist; later for an unreadable folder.
        """
        return map(_ref, self._paths(self.roots, self.left_out))

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield these files with the functions that read them."""
        return ((ref, partial(read, ref.name)) for ref in refs)

    def covers(self, name: str) -> bool:
        """Return whether a name is one of the paths, or below one."""
        return self._given.cover(name)

    def exists(self, name: str) -> bool:
        """Return whether there is a file, or a broken link, of this name."""
        return names.is_there(name)

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List files by their stored names, with their current versions."""
        for name in stored:
            if names.is_shortened(name):
                continue  # it failed because of its length, and its path is unknown
            yield _ref(name if os.path.lexists(name) else names.on_disk(name))

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the paths that are gone or hold no image, and whether they exist."""
        for root in self.roots:
            is_there = os.path.exists(root)
            if not is_there or (os.path.isdir(root) and not self._has_any(root)):
                yield root, is_there

    def without(self, roots: Collection[str]) -> "FilesSource":
        """Return the same source without some of its paths."""
        return FilesSource([root for root in self.roots if root not in roots], self._terms)

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether a file can be an image; count in `passed` those that cannot."""
        for path in self._paths(self.roots, passed):
            if kinds.is_image(path) or kinds.is_image_inside(path):
                return True
            # Only explicitly named files get here.
            kinds.leave_out(passed, path)
        return False

    def _has_any(self, root: str) -> bool:
        return any(True for _ in self._paths([root], LeftOut()))

    def _paths(self, roots: Sequence[str], left_out: LeftOut) -> Iterator[str]:
        choice = self._terms.choice
        return walk(
            [Path(root) for root in roots],
            choice.recursive,
            all_files=choice.all_files,
            follow_links=choice.follow_links,
            left_out=left_out,
        )


def read(path: str, max_bytes: int) -> bytes:
    """Read a file's bytes.

    Raises:
        ImageVanished: It is gone, may not be read or is no regular file.
        ImageTooLarge: It has more bytes.
    """
    try:
        return read_bytes(path, max_bytes)
    except OSError as error:
        raise ImageVanished(f"cannot read the file: {error.strerror or error}") from error


def modified(version: str) -> datetime | None:
    """Return the modification time in a file's version, in local time; None for other versions."""
    mtime_ns, _, size = version.partition(" ")
    if not size:
        return None
    try:
        return datetime.fromtimestamp(int(mtime_ns) // 10**9, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _ref(path: str) -> ImageRef:
    if why_not := names.problem(path):
        version, size = _version(path)
        return ImageRef(names.listed(path), version, size, problem=UnreadableImage(why_not))
    return ImageRef(path, *_version(path))


def _version(path: str) -> tuple[str, int | None]:
    """Return a file's version (its mtime and size) and its size; "" and None if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return "", None
    return f"{found.st_mtime_ns} {found.st_size}", found.st_size
