"""The protocols of image sources: a source lists images and says how to get their bytes.

A run passes the source the refs that it wants, in the source's order. For each ref the source
yields a function that gets the bytes. The pipeline calls it in its own threads, a few images ahead,
within its memory budget. So files, URLs, rows and objects are read at random. A container that can
only be read in order advances as the next image is asked for, and yields a function that returns
bytes in memory.

A source acknowledges nothing. The sink (spocdb/sinks.py) ends leases in the transaction that stores
the descriptors, so that a crash cannot separate the two.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from spocdb.errors import ConfigError
from spocdb.records import EVERYTHING, Choice, Contents, ImageRef
from spocdb.settings import DEFAULT_MAX_BYTES
from spocdb.sources import kinds, names
from spocdb.sources.buckets import Buckets
from spocdb.sources.kinds import LeftOut

Ref = TypeVar("Ref", bound=ImageRef)

# Gets the bytes of one image, at most the given number. Any thread may call it, repeatedly, also
# after the source has gone on or ended. Raises ImageError; ImageTooLarge if there are more.
Get = Callable[[int], bytes]

# Returns whether all that a container of this name and version holds is stored.
Known = Callable[[ImageRef], bool]


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all sources of one call.

    `max_bytes` bounds what a source itself keeps of one image. `allow_private` lets URLs lead to
    addresses that are not public. `left_out` counts the files that listings skip, by kind. With
    `unopened` an archive is listed as one name, for whoever opens it. Of archives and Parquet files
    in buckets at most `window` bytes are kept. The stores of `buckets` are opened once.
    """

    choice: Choice = EVERYTHING
    max_bytes: int = DEFAULT_MAX_BYTES
    allow_private: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)
    unopened: bool = False
    window: int = 2**26
    buckets: Buckets = field(default_factory=Buckets)


class Source(Protocol):
    """A source of images."""

    def refs(self) -> Iterator[ImageRef]:
        """List the images lazily, in a fixed order."""
        ...

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield each of these images with the function that gets its bytes.

        The ref may be replaced by one with a newer version, size, metadata or problem. An image
        with a `problem` is not read.
        """
        ...

    def covers(self, name: str) -> bool:
        """Return whether a stored image of this name belongs to the source."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether an image of this name still exists."""
        ...


class Given(Source, Protocol):
    """The images under the roots that a user gave: an ingest lists, retries and prunes them.

    Without roots it reads any image of its kind by its name.
    """

    def refs(self, known: Known = ...) -> Iterator[ImageRef]:
        """List the images; containers that are `known` are not opened, and not given."""
        ...

    @property
    def roots(self) -> Sequence[str]:
        """Return what was given: the names of its images are these, or begin with them."""
        ...

    @property
    def left_out(self) -> LeftOut:
        """Return the counts of what `refs` has skipped so far."""
        ...

    @property
    def whole(self) -> Sequence[Contents]:
        """Return the containers that were listed to their end, by the names of their failures."""
        ...

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List images by their stored names, with their current versions."""
        ...

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the roots that are gone or hold no image, and whether they exist."""
        ...

    def without(self, roots: Collection[str]) -> "Given":
        """Return the same source without some of its roots."""
        ...

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether anything can be an image; count in `passed` what cannot."""
        ...


def check_given(source: Given) -> None:
    """Raise ConfigError if nothing was given that a source could list."""
    if not source.roots:
        raise ConfigError("nothing is given to read: name images, folders or lists", field="paths")


def check_any(source: Given) -> None:
    """Raise ConfigError if nothing under the roots of a source can be an image."""
    passed = LeftOut()
    if source.has_any(passed):
        return
    rest = f": left out {told}" if (told := kinds.told(passed)) else ""
    where = ", ".join(map(names.printable, source.roots))
    raise ConfigError(f"there are no images under {where}{rest}")


def locate(source: Source, name: str) -> Get:
    """Find one image of a source; return the function that gets its bytes.

    The function needs nothing that the source holds, such as a connection to the database.

    Raises:
        ImageError: The image cannot be read.
    """
    ((ref, get),) = source.stream([ImageRef(name)])
    if ref.problem:
        raise ref.problem
    return get


def nothing_known(container: ImageRef) -> bool:
    """Return False: it has to be opened."""
    return False


def unread(max_bytes: int) -> bytes:
    """Stand for the bytes of an image with a problem, which are never asked for."""
    raise AssertionError("an image with a problem was read")
