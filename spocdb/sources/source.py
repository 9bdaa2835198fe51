"""The protocol of image sources: a source lists images and streams their bytes to a reader.

A run passes the source the refs that it wants, in the source's order, and a reader. For each ref
the source gives the reader a function that gets the bytes. The reader calls it in its own threads,
a few images ahead, within its memory budget. So files, URLs, rows and objects are read at random. A
container that can only be read in order advances as the reader asks for the next image, and passes
a function that returns bytes in memory.

A source acknowledges nothing. The sink (spocdb/sinks.py) ends leases in the transaction that stores
the descriptors, so that a crash cannot separate the two.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from spocdb.records import ImageRef

Ref = TypeVar("Ref", bound=ImageRef)
RefIn = TypeVar("RefIn", bound=ImageRef, contravariant=True)
Got = TypeVar("Got")
GotOut = TypeVar("GotOut", covariant=True)

# Gets the bytes of one image, at most the given number. Any thread may call it, repeatedly, also
# after the source has gone on or ended. Raises ImageError; ImageTooLarge if there are more.
Get = Callable[[int], bytes]


class Reader(Protocol[RefIn, GotOut]):
    """Gets the bytes of images and turns them into results of its own type."""

    def read(self, images: Iterable[tuple[RefIn, Get]]) -> Iterator[GotOut]:
        """Yield a result for each image; consume only a few images ahead.

        An image with a `problem` is not read.
        """
        ...


class Source(Protocol):
    """A source of images."""

    def refs(self) -> Iterator[ImageRef]:
        """List the images lazily, in a fixed order."""
        ...

    def stream(self, refs: Iterable[Ref], reader: Reader[Ref, Got]) -> Iterator[Got]:
        """Pass these images to the reader; yield its results."""
        ...

    def covers(self, name: str) -> bool:
        """Return whether a stored image of this name belongs to the source."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether an image of this name still exists."""
        ...


class _Finder:
    """A reader that reads nothing: its results are the functions that get the bytes."""

    def read(self, images: Iterable[tuple[ImageRef, Get]]) -> Iterator[Get]:
        for ref, get in images:
            if ref.problem:
                raise ref.problem
            yield get


def locate(source: Source, name: str) -> Get:
    """Find one image of a source; return the function that gets its bytes.

    The function needs nothing that the source holds, such as a connection to the database.

    Raises:
        ImageError: The image cannot be read.
    """
    (get,) = source.stream([ImageRef(name)], _Finder())
    return get
