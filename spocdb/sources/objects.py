"""Images in object storage, as a source. An image is called by its URI, such as s3://bucket/a.jpg.

A bucket is listed in pages, and an object's version is its ETag: unchanged objects are not read.
Memory grows by eight bytes with each listed image, so that pruning asks only for those that the
listing had not.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError, ImageError, ImageVanished, UnreadableImage
from spocdb.records import ImageRef
from spocdb.redaction import redact
from spocdb.sources import kinds, names, stores
from spocdb.sources.digests import Names
from spocdb.sources.kinds import LeftOut
from spocdb.sources.source import Get, Ref, Terms, too_large

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_URI = re.compile(rf"({'|'.join(stores.ADVICE)})://", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
# Objects of one page. Objects that are asked about at once, because each answer takes a while.
PAGE, ASKED = 1000, 32


def is_object(name: str) -> bool:
    """Return whether a name is the URI of an object or a prefix."""
    return _URI.match(name) is not None


class ObjectsSource:
    """The images below some prefixes; without prefixes, any object by its URI.

    Raises:
        ConfigError: An argument is no URI of a bucket, or holds credentials.
    """

    whole: Sequence[str] = ()

    def __init__(self, uris: Sequence[str], terms: Terms, seen: Names | None = None) -> None:
        self.roots = list(dict.fromkeys(uri.rstrip("/") for uri in uris))
        for uri in uris:
            try:
                _split(uri.rstrip("/"))
            except UnreadableImage as error:
                raise ConfigError(f"{_bare(uri)}: {error}") from None
        self._terms, self.left_out = terms, terms.left_out
        self._inside = tuple(f"{root}/" for root in self.roots)
        self._stores: dict[str, ObjectStore] = {}
        self._opening = Lock()
        # What was listed, here or by the source that this one was made of.
        self._seen = Names() if seen is None else seen

    def refs(self) -> Iterator[ImageRef]:
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
        address, key = _split(name)
        try:
            answer = stores.obstore().get(self._store(address), key)
            if (size := answer.meta["size"]) > max_bytes:
                raise too_large(size, max_bytes)
            data = bytes(answer.bytes())
        except _troubles() as error:
            raise _vanished(name, error) from _cause(error)
        if len(data) < size:
            raise ImageVanished(f"cannot get the object: {len(data):,} bytes of {size:,} came")
        return data

    def covers(self, name: str) -> bool:
        """Return whether a name is one of the objects, or below a prefix."""
        return f"{name}/".startswith(self._inside)

    def exists(self, name: str) -> bool:
        """Return whether there is such an object; True if the storage does not say."""
        if name in self._seen:
            return True
        try:
            self._head(name)
        except ImageVanished as error:
            return not isinstance(error.__cause__, FileNotFoundError)
        except ImageError:
            return True
        return True

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List objects by their URIs, with their current versions."""
        wanted = (name for name in stored if not names.is_shortened(name))
        with ThreadPoolExecutor(ASKED, "ask") as pool:
            while chunk := list(islice(wanted, ASKED)):
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
        address, prefix = _split(root)
        try:
            pages = stores.obstore().list(self._store(address), prefix or None, chunk_size=PAGE)
            is_empty = True
            for found in (one for page in pages for one in page):
                is_empty = False
                if _is_wanted(found, prefix, left_out):
                    yield _ref(f"{address}/{found['path']}", found)
        except _troubles() as error:
            raise ConfigError(f"cannot list {root}: {_told(root, error)}") from None
        if is_empty and prefix:
            yield from self._itself(root)

    def _itself(self, root: str) -> Iterator[ImageRef]:
        if kinds.kind(root) == kinds.ARCHIVE:
            raise ConfigError(f"{root}: archives in a bucket are not read: copy it to a disk first")
        try:
            yield _ref(root, self._head(root))
        except ImageError as error:
            # A prefix that nothing is below is no error: pruning asks for it.
            if not isinstance(error.__cause__, FileNotFoundError):
                raise ConfigError(f"cannot read {root}: {error}") from None

    def _asked(self, name: str) -> ImageRef:
        try:
            return _ref(name, self._head(name))
        except ImageError as error:
            return ImageRef(names.listed(_bare(name)), problem=error)

    def _head(self, name: str) -> "ObjectMeta":
        address, key = _split(name)
        try:
            found: ObjectMeta = stores.obstore().head(self._store(address), key)
        except _troubles() as error:
            raise _vanished(name, error) from _cause(error)
        return found

    def _store(self, address: str) -> "ObjectStore":
        """Return the store of a bucket, opened once. Raises ConfigError."""
        with self._opening:
            if address not in self._stores:
                self._stores[address] = stores.open_store(address)
            return self._stores[address]


def _split(name: str) -> tuple[str, str]:
    """Return the address of a bucket, and the key in it, for a name without a trailing slash.

    Raises:
        UnreadableImage: It is no URI of an object, or holds credentials.
    """
    scheme, _, rest = name.partition("://")
    bucket, slash, key = rest.partition("/")
    if "@" in bucket or redact(name) != name:
        raise UnreadableImage("a URI with credentials is not stored: put them in the environment")
    # One spelling of the scheme, because the URI is the name of the image.
    if scheme not in stores.ADVICE or not _BUCKET.fullmatch(bucket):
        raise UnreadableImage("no URI of a bucket, such as s3://bucket/prefix")
    if slash and any(part in ("", ".", "..") for part in key.split("/")):
        raise UnreadableImage("a key with an empty part, or one that is . or .., cannot be read")
    return f"{scheme}://{bucket}", key


def _bare(name: str) -> str:
    """Return a URI without credentials."""
    scheme, _, rest = redact(name).partition("://")
    bucket, slash, key = rest.partition("/")
    return f"{scheme}://{bucket.rpartition('@')[2]}{slash}{key}"


def _is_wanted(found: "ObjectMeta", prefix: str, left_out: LeftOut) -> bool:
    """Return whether a listed object is an image; count others, but no marks of folders."""
    path = found["path"]
    below = path[len(prefix) :].split("/")
    if any(part.startswith(".") for part in below):
        left_out[kinds.HIDDEN] += 1
    elif kinds.is_image(path):
        return True
    elif found["size"] or kinds.kind(path) != kinds.UNNAMED:
        if kinds.kind(path) == kinds.ARCHIVE:
            left_out[kinds.FAR_ARCHIVE] += 1
        else:
            kinds.leave_out(left_out, path)
    return False


def _ref(name: str, found: "ObjectMeta") -> ImageRef:
    # Every store says when an object was changed; a few give no ETag. Azure quotes it in
    # answers about one object, and not in listings.
    etag = (found["e_tag"] or found["last_modified"].isoformat()).strip('"')
    version = f'"{etag}" {found["size"]}'
    if why_not := names.problem(name):
        problem = UnreadableImage(why_not)
        return ImageRef(names.listed(name), version, found["size"], problem=problem)
    return ImageRef(name, version, found["size"])


def _troubles() -> tuple[type[Exception], ...]:
    return (stores.obstore().exceptions.BaseError, OSError, ValueError)


def _told(name: str, error: Exception) -> str:
    return stores.told(error, name.partition("://")[0])


def _vanished(name: str, error: Exception) -> ImageVanished:
    return ImageVanished(f"cannot get the object: {_told(name, error)}")


def _cause(error: Exception) -> Exception | None:
    """Return an error without the server's text, which may name an access key."""
    return FileNotFoundError() if isinstance(error, FileNotFoundError) else None
