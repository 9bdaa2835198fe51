"""What a source of images is: it lists them, and streams their bytes to whoever reads them.

A run gives the source the refs that it wants, in an order of the source's own, and a reader. For
each ref the source tells the reader how to get the bytes; the reader does so in threads of its own,
a few images ahead, within its memory. So files, URLs, rows and objects are read at random; a
container that can only be read in order walks on as the reader asks for the next image, and hands
over bytes that it holds already.

What a source does not do: it acknowledges nothing. Leased work is acknowledged in the transaction
that stores its descriptors, which is the sink's (spocdb/sinks.py): so no crash can come between.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from spocdb.records import ImageRef

Ref = TypeVar("Ref", bound=ImageRef)
RefIn = TypeVar("RefIn", bound=ImageRef, contravariant=True)
Got = TypeVar("Got")
GotOut = TypeVar("GotOut", covariant=True)

# Gets the bytes of one image, at most so many. May be called again, and by any thread.
# Raises ImageError; ImageTooLarge if there are more.
Get = Callable[[int], bytes]


class Reader(Protocol[RefIn, GotOut]):
    """Gets the bytes of images; what it makes of them is its own matter."""

    def read(self, images: Iterable[tuple[RefIn, Get]]) -> Iterator[GotOut]:
        """Yield what becomes of each image; take few more of them than were asked for.

        An image with a `problem` is not read.
        """
        ...


class Source(Protocol):
    """Where images come from."""

    def refs(self) -> Iterator[ImageRef]:
        """List the images lazily, in an order that is always the same."""
        ...

    def stream(self, refs: Iterable[Ref], reader: Reader[Ref, Got]) -> Iterator[Got]:
        """Give the reader each of these images of the source; yield what it makes of them."""
        ...

    def covers(self, name: str) -> bool:
        """Tell whether an image of this name, stored earlier, is one that the source would list."""
        ...

    def exists(self, name: str) -> bool:
        """Tell whether there still is an image of this name."""
        ...


class _Plain:
    """A reader of a few images: at once, in this thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def read(self, images: Iterable[tuple[ImageRef, Get]]) -> Iterator[bytes]:
        for ref, get in images:
            if ref.problem:
                raise ref.problem
            yield get(self._max_bytes)


def read_one(source: Source, name: str, max_bytes: int) -> bytes:
    """Return the bytes of one image of a source. Raises ImageError."""
    (data,) = source.stream([ImageRef(name)], _Plain(max_bytes))
    return data
