"""Images in Parquet files, as a source: in a column of bytes, paths or URLs, or Hugging Face's.

An image is called FILE/COLUMN/ROW, with the number of its row. Other columns are its metadata. A
listing reads only the ends of the files; unchanged files are not read any further. Files are on
this machine, in buckets, or behind URLs.
"""

import logging
import os
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from threading import Lock
from typing import Any

from spocdb.errors import ImageError, ImageVanished, UnreadableImage
from spocdb.records import Contents, ImageRef
from spocdb.sources import kinds, names
from spocdb.sources.buckets import PAGE, Buckets, check, is_object, split
from spocdb.sources.containers import Containers, is_far
from spocdb.sources.containers import problem as problem_of
from spocdb.sources.kinds import LeftOut
from spocdb.sources.locations import read_below, uri_below, url_below
from spocdb.sources.metadata_files import cleaned_row
from spocdb.sources.parquet_files import Cursor, ParquetTable, Row
from spocdb.sources.roots import Roots
from spocdb.sources.sizes import too_large
from spocdb.sources.source import Get, Known, Ref, Terms, nothing_known, unread
from spocdb.sources.urls import is_url, version_of
from spocdb.text import cleaned

log = logging.getLogger(__name__)

SUFFIX = ".parquet"
# Files that are kept open.
MOST_OPEN = 8
_FILE = re.compile(r"\.parquet(?=/|$)", re.IGNORECASE)


def is_parquet(name: str) -> bool:
    """Return whether a path is of a Parquet file, of one of its images, or of a folder of them.

    Such a folder has Parquet files and no images. A bucket is not asked.
    """
    if names.is_uri(name):
        return is_far(name) and file_of(name) is not None
    return file_of(name) is not None or (not kinds.is_image(name) and _is_folder(name))


def file_of(name: str) -> str | None:
    """Return the Parquet file that a path is, or is an image of; None if it is of none."""
    return names.file_in(name, _FILE)


def is_prefix(uri: str, buckets: Buckets) -> bool:
    """Return whether a prefix is a folder of Parquet files, by its first objects.

    Raises:
        ConfigError: It cannot be listed.
    """
    check(uri)
    below = len(uri.rstrip("/")) + 1
    found = [name[below:] for name in islice(_objects(buckets, uri), PAGE)]
    here = [name for name in found if "/" not in name and not name.startswith(".")]
    has_files = any(name.lower().endswith(SUFFIX) for name in here)
    return has_files and not any(kinds.is_image(name) for name in here)


class ParquetSource:
    """The images in some Parquet files; without files, any by its name."""

    def __init__(
        self, paths: Sequence[str], terms: Terms, containers: Containers | None = None
    ) -> None:
        self._given = Roots(paths)
        self.roots = self._given.paths
        self.whole: list[Contents] = []
        self._terms, self.left_out = terms, terms.left_out
        self._containers = containers or Containers(terms)
        self._known: OrderedDict[str, ParquetTable] = OrderedDict()
        self._lock = Lock()

    def refs(self, known: Known = nothing_known) -> Iterator[ImageRef]:
        """List the rows, file by file.

        A damaged file is listed as an image of its own name that cannot be read.

        Raises:
            ConfigError: At once for a path that does not exist, if pyarrow is missing, or if it is
                not clear which column of the first file holds the images; later for other files.
        """
        self._containers.check([root for root in self.roots if not _is_far_folder(root)])
        paths = (file for root in self.roots for file in self._files(root, self.left_out))
        files = list(dict.fromkeys(paths))
        for file in files[:1]:
            # Asked at once: what is wrong with the column of the first file is mostly so in all.
            with suppress(ImageError):
                self._table(file).image_column(self._terms.choice.image_column)
        return (ref for file in files for ref in self._listed(file))

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield these rows with the functions that give their bytes, and with their metadata."""
        cursor: Cursor | None = None
        for ref in refs:
            if ref.problem:
                yield ref, unread
                continue
            try:
                file, column, number = _parts(ref.name)
                table = self._table(file)
                if number >= table.n_rows or column not in table.schema.names:
                    raise ImageVanished("the file has no such row or column any more")
                if cursor is None or (cursor.table, cursor.column) != (table, column):
                    cursor = Cursor(table, column)
                yield self._told(ref, cursor, cursor.find(number))
            except ImageError as error:
                yield replace(ref, problem=error), unread

    def covers(self, name: str) -> bool:
        """Return whether a name is one of the files, or of an image in one."""
        return self._given.cover(name)

    def exists(self, name: str) -> bool:
        """Return whether the file has such a row; True if it cannot be read."""
        file = file_of(name) or name
        if name == file or not self._containers.is_there(file):
            return self._containers.is_there(file)
        try:
            _, column, number = _parts(name)
            table = self._table(file)
        except ImageError:
            return True
        return number < table.n_rows and column in table.schema.names

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List images by their stored names; for a file that failed, all of its images."""
        for name in stored:
            if file_of(name) == name:
                yield from self._listed(name)
            elif not names.is_shortened(name):
                version = self._containers.version_now(file_of(name) or name)
                yield ImageRef(name, _version(version))

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the paths that are gone or hold no row, and whether they exist."""
        for root in self.roots:
            is_there = _is_far_folder(root) or self._containers.is_there(root)
            if not is_there or not any(self._rows_in(root)):
                yield root, is_there

    def without(self, roots: Collection[str]) -> "ParquetSource":
        """Return the same source without some of its paths."""
        rest = [root for root in self.roots if root not in roots]
        return ParquetSource(rest, self._terms, self._containers)

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether a file has a row; count in `passed` what is none."""
        for root in self.roots:
            for file in self._files(root, passed):
                for ref in self._listed(file):
                    if not ref.problem:
                        return True
                    passed[kinds.DAMAGED_TABLE] += 1
                    break
        return False

    def _files(self, root: str, left_out: LeftOut) -> Iterator[str]:
        """Yield the files of a folder, in order, or the file that was named."""
        if _is_far_folder(root):
            yield from self._far_files(root, left_out)
            return
        if not os.path.isdir(root):
            yield root
            return
        for folder, subfolders, files in os.walk(root):
            hidden = [name for name in (*subfolders, *files) if name.startswith(".")]
            left_out.update({kinds.HIDDEN: len(hidden)} if hidden else {})
            subfolders[:] = sorted(name for name in subfolders if name not in hidden)
            for name in sorted(name for name in files if name not in hidden):
                if name.lower().endswith(SUFFIX):
                    yield os.path.join(folder, name)
                else:
                    kinds.leave_out(left_out, name)
            if not self._terms.choice.recursive:
                return

    def _far_files(self, root: str, left_out: LeftOut) -> Iterator[str]:
        """Yield the files below a prefix, in the storage's order."""
        for name in _objects(self._terms.buckets, root):
            below = name[len(root) :].split("/")[1:]
            if any(part.startswith(".") for part in below):
                left_out[kinds.HIDDEN] += 1
            elif not self._terms.choice.recursive and len(below) > 1:
                continue
            elif name.lower().endswith(SUFFIX):
                yield name
            else:
                kinds.leave_out(left_out, name)

    def _listed(self, path: str) -> Iterator[ImageRef]:
        version = self._containers.version_now(path)
        try:
            table = self._table(path)
            column = table.image_column(self._terms.choice.image_column)
        except ImageError as error:
            yield ImageRef(names.listed(path), version, problem=error)
            return
        if left_out := table.described(column)[1]:
            _tell(f"columns that are no metadata are left out: {', '.join(left_out)}")
        for number in range(table.n_rows):
            name = f"{path}/{column}/{number}"
            why_not = problem_of(name)
            problem = UnreadableImage(why_not) if why_not else None
            listed = cleaned(names.listed(name)) if problem else name
            yield ImageRef(listed, _version(version), problem=problem)
        self.whole.append(Contents(names.printable(path)))

    def _rows_in(self, root: str) -> Iterator[bool]:
        for file in self._files(root, LeftOut()):
            with suppress(ImageError):
                yield self._table(file).n_rows > 0

    def _told(self, ref: Ref, cursor: Cursor, row: Row) -> tuple[Ref, Get]:
        table, column = cursor.table, cursor.column
        data, path = _image(row.get(column))
        try:
            said = cleaned_row(table.metadata(row, cursor.others))
        except ValueError as error:
            raise UnreadableImage(f"its row cannot be stored as metadata: {error}") from error
        if path and data is not None:
            said = {f"{column}_path": cleaned(path), **said}
        found = replace(
            ref,
            version=version_of(ref.version, _version(table.version)),
            size=None if data is None else len(data),
            metadata={**said, **ref.metadata},
        )
        if data is not None:
            return found, partial(_held, data)
        if not path:
            return replace(found, problem=UnreadableImage("the row has no image")), unread
        return found, partial(self._read_elsewhere, os.path.dirname(table.path), path)

    def _read_elsewhere(self, folder: str, path: str, max_bytes: int) -> bytes:
        """Read the image that a row names by a URL, or by a path below the file's folder."""
        if is_url(folder) and not is_url(path):
            path = url_below(folder, path)
        if not is_url(path):
            if is_object(folder):
                return self._terms.buckets.get(uri_below(folder, path), max_bytes)
            return read_below(folder, path, max_bytes)
        # Imported here, because httpx would take a sixth of the start of every command.
        from spocdb.sources.fetching import fetch

        return fetch(
            *(path, max_bytes),
            allow_private=self._terms.allow_private,
            advice="set SPOCDB_ALLOW_PRIVATE=1",
        )

    def _table(self, path: str) -> ParquetTable:
        """Return an opened file; the last ones are kept open. Raises ImageError."""
        with self._lock:
            table = self._known.pop(path, None)
            if table is None or table.version != self._containers.version_now(path):
                table = ParquetTable(path, self._containers.open(path, "file"))
            self._known[path] = table
            if len(self._known) > MOST_OPEN:
                self._known.popitem(last=False)
            return table


def _parts(name: str) -> tuple[str, str, int]:
    """Return the file, the column and the row of a name. Raises UnreadableImage."""
    file = file_of(name)
    column, _, number = name[len(file or "") + 1 :].rpartition("/")
    if file is None or not column or not (number.isascii() and number.isdigit()):
        raise UnreadableImage("it is no row of a Parquet file")
    return file, column, int(number)


def _image(value: Any) -> tuple[bytes | None, str | None]:
    """Return the bytes and the path that the column of a row holds."""
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        is_text = isinstance(path, str) and path
        return (data if isinstance(data, bytes) else None), (path if is_text else None)
    if isinstance(value, bytes):
        return value, None
    return None, value if isinstance(value, str) and value else None


def _held(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    return data


def _version(version: str) -> str:
    return f"{version} row" if version else ""


def _is_far_folder(root: str) -> bool:
    return is_object(root) and file_of(root) != root


def _objects(buckets: Buckets, root: str) -> Iterator[str]:
    """List the URIs below a prefix, without marks of folders."""
    address, _ = split(root.rstrip("/"))
    for found in buckets.list(root.rstrip("/")):
        yield f"{address}/{found['path']}"


def _is_folder(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            found = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return False
    has_files = any(name.lower().endswith(SUFFIX) for name in found)
    return has_files and not any(kinds.is_image(name) for name in found)


@cache
def _tell(line: str) -> None:
    """Log a line once: the files of a data set have the same columns."""
    log.warning("%s", line)
