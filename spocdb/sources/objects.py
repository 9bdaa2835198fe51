"""Images in object storage, as a source. An image is called by its URI, such as s3://bucket/a.jpg.

A bucket is listed in pages, and an object's version is its ETag: unchanged objects are not read.
Memory grows by eight bytes with each listed image, so that pruning asks only for those that the
listing had not.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError, ImageError, ImageVanished, UnreadableImage
from spocdb.records import Contents, ImageRef
from spocdb.sources import buckets, kinds, names, stores
from spocdb.sources.digests import Names
from spocdb.sources.kinds import LeftOut
from spocdb.sources.roots import Roots
from spocdb.sources.source import Get, Known, Ref, Terms, nothing_known

if TYPE_CHECKING:
    from obstore import ObjectMeta


class ObjectsSource:
    """The images below some prefixes; without prefixes, any object by its URI.

    Raises:
        ConfigError: An argument is no URI of a bucket, or holds credentials.
    """

    whole: Sequence[Contents] = ()

    def __init__(self, uris: Sequence[str], terms: Terms, seen: Names | None = None) -> None:
        self._given = Roots(uris)
        self.roots = self._given.paths
        self._terms, self.left_out = terms, terms.left_out
        self._buckets = terms.buckets
        # What was listed, here or by the source that this one was made of.
        self._seen = Names() if seen is None else seen

    def refs(self, known: Known = nothing_known) -> Iterator[ImageRef]:
        """List the objects, page by page.

        Raises:
            ConfigError: At once if the extra is missing; later if a prefix cannot be listed.
        """
        if self.roots:
            stores.obstore()
        outer = [root for root in self.roots if not self._is_below_another(root)]
        return (self._noted(ref) for root in outer for ref in self._listed(root, self.left_out))

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield these objects with the functions that get them."""
        return ((ref, partial(self.get, ref.name)) for ref in refs)

    def get(self, name: str, max_bytes: int) -> bytes:
        """Return the bytes of an object by its URI.

        Raises:
            ImageTooLarge: It has more than `max_bytes` bytes.
            ImageVanished: There is no such object, or the storage does not give it.
            UnreadableImage: It is no URI of an object.
        """
        return self._buckets.get(name, max_bytes)

    def covers(self, name: str) -> bool:
        """Return whether a name is one of the objects, or below a prefix."""
        return self._given.cover(name)

    def exists(self, name: str) -> bool:
        """Return whether there is such an object; True if the storage does not say."""
        if name in self._seen:
            return True
        try:
            self._buckets.head(name)
        except ImageVanished as error:
            return not buckets.is_missing(error)
        except ImageError:
            return True
        return True

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List objects by their URIs, with their current versions."""
        wanted = (name for name in stored if not names.is_shortened(name))
        with ThreadPoolExecutor(buckets.ASKED, "ask") as pool:
            while chunk := list(islice(wanted, buckets.ASKED)):
                yield from pool.map(self._asked, chunk)

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the prefixes that hold no image: a bucket knows no other prefixes."""
        for root in self.roots:
            if not any(True for _ in self._listed(root, LeftOut())):
                yield root, True

    def without(self, roots: Collection[str]) -> "ObjectsSource":
        """Return the same source without some of its prefixes."""
        rest = [root for root in self.roots if root not in roots]
        return ObjectsSource(rest, self._terms, self._seen)

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether there is an image; count in `passed` what is none."""
        return any(True for root in self.roots for _ in self._listed(root, passed))

    def _is_below_another(self, root: str) -> bool:
        return any(root.startswith(f"{other}/") for other in self.roots)

    def _noted(self, ref: ImageRef) -> ImageRef:
        self._seen.add(ref.name)
        return ref

    def _listed(self, root: str, left_out: LeftOut) -> Iterator[ImageRef]:
        """List what is below a root, or else the object that it is."""
        address, prefix = buckets.split(root)
        is_empty = True
        for found in self._buckets.list(root):
            is_empty = False
            if _is_wanted(found, prefix, left_out):
                yield _ref(f"{address}/{found['path']}", found)
        if is_empty and prefix:
            yield from self._itself(root)

    def _itself(self, root: str) -> Iterator[ImageRef]:
        try:
            yield _ref(root, self._buckets.head(root))
        except ImageError as error:
            # A prefix that nothing is below is no error: pruning asks for it.
            if not buckets.is_missing(error):
                raise ConfigError(f"cannot read {root}: {error}") from None

    def _asked(self, name: str) -> ImageRef:
        try:
            return _ref(name, self._buckets.head(name))
        except ImageError as error:
            return ImageRef(names.listed(buckets.bare(name)), problem=error)


def _is_wanted(found: "ObjectMeta", prefix: str, left_out: LeftOut) -> bool:
    """Return whether a listed object is an image; count others, but no marks of folders."""
    path = found["path"]
    below = path[len(prefix) :].split("/")
    if any(part.startswith(".") for part in below):
        left_out[kinds.HIDDEN] += 1
    elif kinds.is_image(path):
        return True
    elif found["size"] or kinds.kind(path) != kinds.UNNAMED:
        kinds.leave_out(left_out, path)
    return False


def _ref(name: str, found: "ObjectMeta") -> ImageRef:
    version = buckets.version_of(found)
    if why_not := names.problem(name):
        problem = UnreadableImage(why_not)
        return ImageRef(names.listed(name), version, found["size"], problem=problem)
    return ImageRef(name, version, found["size"])
