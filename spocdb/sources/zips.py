"""Members of zip files, by their central directory."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, cast

from spocdb.errors import ImageError, UnreadableImage
from spocdb.sources.members import (
    Hold,
    Member,
    Readable,
    Stream,
    cut_off,
    damaged,
    name_problem,
    plain,
)
from spocdb.sources.sizes import too_large
from spocdb.sources.source import unread

# The directory is in memory, about ten times its size: some 400,000 members at the most.
MOST_OF_DIRECTORY = 2**25
ENCRYPTED = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for damaged files.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, LookupError, RuntimeError, NotImplementedError, OverflowError),
)


class ZipArchive:
    """A zip file.

    Raises:
        ImageVanished: It cannot be read.
        UnreadableImage: It is damaged, or its directory is too large.
    """

    def __init__(self, opened: Readable) -> None:
        self.version, self.is_in_order = opened.version, False
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], Stream(opened, MOST_OF_DIRECTORY)))
        except ImageError:
            raise
        except DAMAGE as error:
            raise damaged(error) from error

    def members(self, hold: Hold | None = None) -> Iterator[Member]:
        """Yield the members; see `Archive`."""
        for found in self._zip.filelist:
            if found.is_dir():
                continue
            problem = name_problem(found.orig_filename) or _problem(found)
            read = unread if problem else partial(_read, self._zip, found)
            yield Member(plain(found.filename), found.header_offset, found.file_size, read, problem)


def _problem(found: zipfile.ZipInfo) -> UnreadableImage | None:
    if found.flag_bits & ENCRYPTED:
        return UnreadableImage("it is encrypted: unpack the archive, and ingest the folder")
    if found.compress_type not in METHODS:
        return UnreadableImage("it is packed by a method other than deflate: pack it again")
    return None


def _read(opened: zipfile.ZipFile, found: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if found.file_size > max_bytes:
        raise too_large(found.file_size, max_bytes)
    try:
        with opened.open(found) as stream:
            # One more, so that the sum is checked at the end. It never gives more than is stated.
            data = stream.read(found.file_size + 1)
    except ImageError:
        raise
    except DAMAGE as error:
        raise UnreadableImage(f"it is damaged in the archive ({error}): fetch it again") from error
    if len(data) < found.file_size:
        raise cut_off()
    return data
