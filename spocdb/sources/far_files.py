"""A far file, an object of a bucket or behind a URL, read at offsets, in blocks that are kept."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from spocdb.errors import ImageVanished
from spocdb.sources.buckets import is_missing

# Bytes of a block; blocks that are asked for ahead of a file that is read in order; the fewest that
# are kept; requests for blocks at once.
BLOCK, AHEAD, LEAST_BLOCKS, ASKED = 2**20, 4, 16, 8

Key = tuple[str, str, int]
# Returns bytes of the file of a name, from an offset up to another, and the version of the file.
GetRange = Callable[[str, int, int], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class Far:
    """What is known of a far file: its version, its size, and whether it is read in parts.

    A size that nobody tells is the largest number.
    """

    version: str
    size: int
    in_parts: bool = True


class Window:
    """The blocks of far files that were read last, at most `n_bytes` of them. Threads share it.

    An archive is listed a few hundred images ahead of the one that is read, so that most of its
    bytes are asked for once.
    """

    def __init__(self, n_bytes: int) -> None:
        self._most = max(n_bytes // BLOCK, LEAST_BLOCKS)
        self._blocks: OrderedDict[Key, Future[bytes]] = OrderedDict()
        self._lock, self._pool = Lock(), ThreadPoolExecutor(ASKED, "block")

    def block(self, key: Key, n_blocks: int, get: Callable[[int], bytes]) -> bytes:
        """Return a block of a file of so many; `get` asks for one by its number.

        Raises:
            ImageVanished: It cannot be had. The next call asks again.
        """
        name, version, n = key
        with self._lock:
            wanted = self._asked(key, get)
            if (name, version, n - 1) in self._blocks:
                for ahead in range(n + 1, min(n + 1 + AHEAD, n_blocks)):
                    self._asked((name, version, ahead), get)
        try:
            return wanted.result()
        except ImageVanished as error:
            # One error for all threads that waited.
            raise error.with_traceback(None) from error.__cause__

    def keep(self, key: Key, data: bytes) -> None:
        """Keep a block that came without being asked for."""
        future: Future[bytes] = Future()
        future.set_result(data)
        with self._lock:
            self._put(key, future)

    def _asked(self, key: Key, get: Callable[[int], bytes]) -> "Future[bytes]":
        known = self._blocks.get(key)
        if known and not (known.done() and known.exception()):
            self._blocks.move_to_end(key)
            return known
        return self._put(key, self._pool.submit(get, key[2]))

    def _put(self, key: Key, future: "Future[bytes]") -> "Future[bytes]":
        self._blocks[key] = future
        if len(self._blocks) > self._most:
            self._blocks.popitem(last=False)
        return future


# What `FarBytes` takes: window, name, version, size, what it is called, `changed`.
Described = tuple[Window, str, str, int, str, Callable[[], None]]


class FarBytes:
    """A far file of this version and size; see `Readable`. Errors call it `what`.

    `changed` is called when the file has another version by now, or is gone.
    """

    def __init__(
        self,
        window: Window,
        name: str,
        version: str,
        size: int,
        what: str,
        changed: Callable[[], None],
    ) -> None:
        self.version, self.size = version, size
        self._window, self._name = window, name
        self._what, self._changed = what, changed

    def _gone(self, error: ImageVanished) -> ImageVanished:
        """Return the error about a part that could not be fetched."""
        if is_missing(error):
            self._changed()
        return ImageVanished(f"cannot read the {self._what}: {told(error)}")

    def _other(self) -> ImageVanished:
        """Return the error about a file that has another version by now."""
        self._changed()
        return ImageVanished(f"the {self._what} was changed while it was read: ingest it again")


class FarFile(FarBytes):
    """A far file that is read in parts; `described` is what `FarBytes` takes."""

    is_in_order = False

    def __init__(self, get_range: GetRange, *described: *Described) -> None:
        super().__init__(*described)
        self._get_range = get_range

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at an offset; fewer at the end of the file.

        Raises:
            ImageVanished: It was changed since it was opened, or cannot be read.
        """
        end = min(offset + n_bytes, self.size)
        if offset >= end:
            return b""
        if end - offset > BLOCK:
            return self._get(offset, end)
        first, last = offset // BLOCK, (end - 1) // BLOCK
        # One block, or two.
        data = b"".join(map(self._block, range(first, last + 1)))
        return data[offset - first * BLOCK : end - first * BLOCK]

    def _block(self, n: int) -> bytes:
        key, n_blocks = (self._name, self.version, n), -(-self.size // BLOCK)
        return self._window.block(
            key, n_blocks, lambda n: self._get(n * BLOCK, min((n + 1) * BLOCK, self.size))
        )

    def _get(self, start: int, end: int) -> bytes:
        try:
            data, version = self._get_range(self._name, start, end)
        except ImageVanished as error:
            raise self._gone(error) from error.__cause__
        if version != self.version:
            raise self._other()
        return data


def told(error: Exception) -> str:
    """Return what an error about a far file says, for one about a part of it."""
    return str(error).removeprefix("cannot get the object: ").removeprefix("cannot fetch: ")
