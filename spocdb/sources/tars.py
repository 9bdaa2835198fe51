"""Members of tar files: at their offsets, or in order where the whole is compressed or streamed.

The headers are read by the standard library's tarfile, which would keep all members and read as
much as a header says; both are bounded here.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, Any, cast

from spocdb.errors import ConfigError, ImageVanished, UnreadableImage
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

# The most that headers between two members may take: long names and the extended attributes.
MOST_OF_HEADERS = 2**20
# Memory that a zstd frame may ask for; `zstd --ultra --long=27` makes such.
MOST_WINDOW = 2**27
DAMAGE: tuple[type[Exception], ...] = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
)


class TarArchive:
    """A tar file; `compression` is "", "gz" or "zst"."""

    def __init__(self, opened: Readable, compression: str) -> None:
        self._opened, self._compression = opened, compression
        self.version = self._opened.version
        self.is_in_order = compression != "" or opened.is_in_order

    def members(self, hold: Hold | None = None) -> Iterator[Member]:
        """Yield the members; see `Archive`."""
        stream = _unpacked(self._opened, self._compression)
        headers = _Headers(stream)
        try:
            with tarfile.open(fileobj=cast(IO[bytes], headers), mode="r:") as tar:
                while (found := _next(tar, headers)) is not None:
                    if found.isdir():
                        continue
                    yield self._member(found, stream, hold)
            headers.check_end()
        except (ImageVanished, UnreadableImage):
            raise
        except _damage(self._compression) as error:
            raise damaged(error) from error
        except RecursionError as error:
            raise UnreadableImage("the archive is damaged: headers of headers") from error
        finally:
            stream.close()

    def _member(self, found: tarfile.TarInfo, stream: IO[bytes], hold: Hold | None) -> Member:
        name, at, size = plain(found.name), found.offset_data, found.size
        problem = name_problem(found.name) or _kind_problem(found)
        if problem:
            return Member(name, at, size, unread, problem)
        if not self.is_in_order:
            return Member(name, at, size, partial(_read_at, self._opened, at, size))
        if hold is None or not (most := hold(name)):
            return Member(name, at, size, unread)
        if size > most:
            return Member(name, at, size, unread, too_large(size, most))
        data = self._passing(stream, at, size)
        return Member(name, at, size, partial(_held, data), cut_off() if len(data) < size else None)

    def _passing(self, stream: IO[bytes], at: int, size: int) -> bytes:
        if not self._compression:
            return self._opened.read(at, size)
        stream.seek(at)
        return stream.read(size)


class _Headers:
    """The stream that tarfile sees: it bounds what headers take, and knows the last block."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.left = MOST_OF_HEADERS
        self._last = b""

    def read(self, n_bytes: int) -> bytes:
        self.left -= n_bytes
        if n_bytes < 0 or self.left < 0:
            raise tarfile.ReadError("a header of the archive is too large")
        self._last = self._stream.read(n_bytes)
        return self._last

    def seek(self, offset: int) -> int:
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()

    def check_end(self) -> None:
        """Raise TarError unless the last block is the end mark: zeros.

        For tarfile, a damaged header is the end too.
        """
        if not self._last or self._last.strip(b"\0"):
            raise tarfile.ReadError("no end mark")


def _next(tar: tarfile.TarFile, headers: _Headers) -> tarfile.TarInfo | None:
    headers.left = MOST_OF_HEADERS
    before = tar.offset
    # The first member was read when the file was opened.
    is_first = cast(Any, tar).firstmember is not None
    found = tar.next()
    # It keeps them for `getmembers`.
    cast(Any, tar).members, tar.pax_headers = [], {}
    if found is not None and (found.size < 0 or (tar.offset <= before and not is_first)):
        raise tarfile.ReadError("a size below zero")
    return found


def _kind_problem(found: tarfile.TarInfo) -> UnreadableImage | None:
    if found.issym() or found.islnk():
        return UnreadableImage(f"it is a link to {found.linkname}: links in archives are not read")
    if found.issparse():
        return UnreadableImage("it is stored sparse: pack the archive again, whole")
    if not found.isreg():
        return UnreadableImage("it is no regular file")
    return None


def _read_at(opened: Readable, offset: int, size: int, max_bytes: int) -> bytes:
    if size > max_bytes:
        raise too_large(size, max_bytes)
    # Compared first: memory for what a header says would be allocated.
    if offset + size > opened.size:
        raise cut_off()
    data = opened.read(offset, size)
    if len(data) < size:
        raise cut_off()
    return data


def _held(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    return data


def _unpacked(opened: Readable, compression: str) -> IO[bytes]:
    raw = Stream(opened, MOST_WINDOW)
    if compression == "gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=cast(Any, raw)))
    if compression == "zst":
        decompressor = _zstandard().ZstdDecompressor(max_window_size=MOST_WINDOW)
        return cast(IO[bytes], decompressor.stream_reader(raw, read_across_frames=True))
    return cast(IO[bytes], raw)


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise ConfigError(".tar.zst needs a package: pip install 'spocdb[zstd]'") from None
    return zstandard


def _damage(compression: str) -> tuple[type[Exception], ...]:
    return (*DAMAGE, _zstandard().ZstdError) if compression == "zst" else DAMAGE
