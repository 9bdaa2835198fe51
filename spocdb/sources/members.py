"""What archives have in common: members, their names, and a file that is read at offsets."""

import io
import os
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from spocdb.errors import ImageError, ImageVanished, UnreadableImage
from spocdb.images.regular import regular
from spocdb.sources.source import Get

# Returns how many bytes of a member of this name may be kept in memory; 0 for one nobody asks for.
Hold = Callable[[str], int]

# `pread` gives at most about 2 GB at once.
MOST_AT_ONCE = 2**30


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive that is no folder.

    `name` has "/" between its parts. `offset` and `size` are in bytes; the offset tells apart
    members of one archive. `problem` says why it cannot be read.
    """

    name: str
    offset: int
    size: int
    read: Get
    problem: ImageError | None = None


class Readable(Protocol):
    """A file that is read at offsets, by any thread. A version is of the whole file."""

    @property
    def is_in_order(self) -> bool:
        """Return whether it is slow to read anywhere but after what was read last."""
        ...

    @property
    def version(self) -> str:
        """Return the version of the file when it was opened."""
        ...

    @property
    def size(self) -> int:
        """Return the number of its bytes."""
        ...

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at an offset; fewer at the end of the file.

        Raises:
            ImageVanished: It was changed since it was opened, or cannot be read.
        """
        ...


class Archive(Protocol):
    """An opened archive. Its methods may be called by any thread."""

    @property
    def version(self) -> str:
        """Return the version of the file when it was opened."""
        ...

    @property
    def is_in_order(self) -> bool:
        """Return whether members can be read only one after the other."""
        ...

    def members(self, hold: Hold | None = None) -> Iterator[Member]:
        """Yield the members in the archive's order.

        Where they can only be read in this order, `hold` says which are kept in memory as they
        pass, so that their `read` works afterwards. Without it they are listed, and not read.

        Raises:
            UnreadableImage: The archive is damaged or cut off. The members before that were given.
            ImageVanished: It was changed meanwhile.
        """
        ...


class Opened:
    """A regular file, see `Readable`, that is closed when nothing refers to it any more.

    Errors call it `what`.

    Raises:
        ImageVanished: It cannot be opened.
    """

    is_in_order = False

    def __init__(self, path: str, what: str = "archive") -> None:
        self._what = what
        try:
            self._descriptor = regular(path, os.O_RDONLY)
        except OSError as error:
            raise ImageVanished(f"cannot read the {what}: {error.strerror or error}") from error
        weakref.finalize(self, os.close, self._descriptor)
        self.version, self.size = self._now()

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at an offset; fewer at the end of the file.

        Raises:
            ImageVanished: It was changed since it was opened, or cannot be read.
        """
        try:
            data = b""
            while block := os.pread(
                self._descriptor, min(n_bytes - len(data), MOST_AT_ONCE), offset + len(data)
            ):
                # Most reads give all at once, and `data` is the block itself.
                data = data + block if data else block
            now = self._now()
        except OSError as error:
            raise ImageVanished(
                f"cannot read the {self._what}: {error.strerror or error}"
            ) from error
        if now != (self.version, self.size):
            raise ImageVanished(f"the {self._what} was changed while it was read: ingest it again")
        return data

    def _now(self) -> tuple[str, int]:
        found = os.fstat(self._descriptor)
        return f"{found.st_mtime_ns} {found.st_size}", found.st_size


class Stream(io.RawIOBase):
    """An opened file as a stream, for libraries; each has a position of its own.

    `most` bounds a single read: a library may read as much as a damaged header says.
    """

    def __init__(self, opened: Readable, most: int) -> None:
        self._opened, self._most, self._at = opened, most, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._opened.size}[whence]
        if base + offset < 0:
            raise ValueError("a negative position")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = max(self._opened.size - self._at, 0) if size is None or size < 0 else size
        if wanted > self._most:
            raise ValueError(f"a directory or header of {wanted:,} bytes")
        data = self._opened.read(self._at, wanted)
        self._at += len(data)
        return data

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def name_problem(name: str) -> UnreadableImage | None:
    """Return why a member's name cannot be stored below its archive's; None if it can."""
    if not plain(name):
        return UnreadableImage("it has no name in the archive")
    if "\0" in name:
        return UnreadableImage("its name in the archive has a NUL")
    if ".." in name.split("/"):
        return UnreadableImage("its name leads out of the archive")
    return None


def plain(name: str) -> str:
    """Return a member's name without what does not matter: "./a//b" and "/a/b" are "a/b"."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def damaged(error: Exception) -> UnreadableImage:
    """Return the error of an archive that a library cannot read."""
    return UnreadableImage(f"the archive is damaged or cut off ({error}): fetch it again")


def cut_off() -> UnreadableImage:
    """Return the error of a member that the archive's end cuts off."""
    return UnreadableImage("the archive ends in the middle of it: fetch the archive again")
