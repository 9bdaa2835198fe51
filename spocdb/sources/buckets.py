"""Objects of buckets by their URIs, such as s3://bucket/a.jpg: what is known of one, its bytes."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from threading import Lock
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError, ImageVanished, UnreadableImage
from spocdb.redaction import redact
from spocdb.sources import stores
from spocdb.sources.sizes import too_large

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_URI = re.compile(rf"({'|'.join(stores.ADVICE)})://", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
# Objects of one page of a listing. Objects that are asked about at once: each answer takes a while.
PAGE, ASKED = 1000, 32


class Buckets:
    """Buckets whose stores are opened once. Threads may share it."""

    def __init__(self) -> None:
        self._stores: dict[str, ObjectStore] = {}
        self._opening = Lock()

    def list(self, root: str) -> "Iterator[ObjectMeta]":
        """List what is below a prefix, page by page.

        Raises:
            ConfigError: It cannot be listed.
        """
        address, prefix = split(root)
        try:
            pages = stores.obstore().list(self._store(address), prefix or None, chunk_size=PAGE)
            yield from (one for page in pages for one in page)
        except troubles() as error:
            raise ConfigError(f"cannot list {root}: {_told(root, error)}") from None

    def head(self, name: str) -> "ObjectMeta":
        """Return what is known of an object.

        Raises:
            ImageVanished: There is no such object, or the storage does not say.
            UnreadableImage: It is no URI of an object.
        """
        address, key = split(name)
        try:
            found: ObjectMeta = stores.obstore().head(self._store(address), key)
        except troubles() as error:
            raise _vanished(name, error) from _cause(error)
        return found

    def look(self, name: str) -> tuple[str, int]:
        """Return the version and the size of an object. Raises as `head`."""
        found = self.head(name)
        return version_of(found), found["size"]

    def get(self, name: str, max_bytes: int) -> bytes:
        """Return the bytes of an object.

        Raises:
            ImageTooLarge: It has more than `max_bytes` bytes.
            ImageVanished: There is no such object, or the storage does not give it.
            UnreadableImage: It is no URI of an object.
        """
        address, key = split(name)
        try:
            answer = stores.obstore().get(self._store(address), key)
            if (size := answer.meta["size"]) > max_bytes:
                raise too_large(size, max_bytes)
            data = bytes(answer.bytes())
        except troubles() as error:
            raise _vanished(name, error) from _cause(error)
        if len(data) < size:
            raise ImageVanished(f"cannot get the object: {len(data):,} bytes of {size:,} came")
        return data

    def get_range(self, name: str, start: int, end: int) -> tuple[bytes, str]:
        """Return some bytes of an object, up to `end`, and the version that they are of.

        Raises:
            ImageVanished: There is no such object, or the storage does not give all of them.
        """
        address, key = split(name)
        try:
            options = {"range": (start, end)}
            answer = stores.obstore().get(self._store(address), key, options=options)
            version = version_of(answer.meta)
            data = bytes(answer.bytes())
        except troubles() as error:
            raise _vanished(name, error) from _cause(error)
        if len(data) < min(end, answer.meta["size"]) - start:
            raise ImageVanished(f"cannot get the object: {len(data):,} of {end - start:,} bytes")
        return data, version

    def matching(self, uri: str, most: int) -> "Iterator[str]":
        """Yield the objects that a URI with `*` in its last part stands for, as a shell would.

        Raises:
            ConfigError: There are none, or too many, or they cannot be listed.
        """
        folder, _, pattern = uri.rpartition("/")
        check(folder)
        address, prefix = split(folder)
        n, first = 0, len(prefix) + 1 if prefix else 0
        for found in self.list(folder):
            name = found["path"][first:]
            is_shown = "/" not in name and not name.startswith(".")
            if is_shown and fnmatchcase(name, pattern):
                n += 1
                if n > most:
                    raise ConfigError(f"{uri} stands for more than {most:,} names")
                yield f"{address}/{found['path']}"
        if not n:
            raise ConfigError(f"no object matches {uri}")

    def _store(self, address: str) -> "ObjectStore":
        """Return the store of a bucket, opened once. Raises ConfigError."""
        with self._opening:
            if address not in self._stores:
                self._stores[address] = stores.open_store(address)
            return self._stores[address]


def is_object(name: str) -> bool:
    """Return whether a name is the URI of an object or a prefix."""
    return _URI.match(name) is not None


def check(uri: str) -> None:
    """Raise ConfigError if an argument is no URI of a bucket, or holds credentials."""
    try:
        split(uri.rstrip("/"))
    except UnreadableImage as error:
        raise ConfigError(f"{bare(uri)}: {error}") from None


def split(name: str) -> tuple[str, str]:
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


def bare(name: str) -> str:
    """Return a URI without credentials."""
    scheme, _, rest = redact(name).partition("://")
    bucket, slash, key = rest.partition("/")
    return f"{scheme}://{bucket.rpartition('@')[2]}{slash}{key}"


def version_of(found: "ObjectMeta") -> str:
    """Return the version of an object: its ETag and size."""
    # Every store says when an object was changed; a few give no ETag. Azure quotes it in
    # answers about one object, and not in listings.
    etag = (found["e_tag"] or found["last_modified"].isoformat()).strip('"')
    return f'"{etag}" {found["size"]}'


def is_missing(error: Exception) -> bool:
    """Return whether an error says that there is no such object."""
    return isinstance(error.__cause__, FileNotFoundError)


def troubles() -> tuple[type[Exception], ...]:
    """Return what obstore raises. Raises ConfigError if it is not installed."""
    return (stores.obstore().exceptions.BaseError, OSError, ValueError)


def _told(name: str, error: Exception) -> str:
    return stores.told(error, name.partition("://")[0])


def _vanished(name: str, error: Exception) -> ImageVanished:
    return ImageVanished(f"cannot get the object: {_told(name, error)}")


def _cause(error: Exception) -> Exception | None:
    """Return an error without the server's text, which may name an access key."""
    return FileNotFoundError() if isinstance(error, FileNotFoundError) else None
