"""What a row's text names, below the root of its attached table: a file, or an object."""

import os
from urllib.parse import quote

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources import names
from spocdb.sources.buckets import is_object
from spocdb.sources.files import read


def is_here(root: str) -> bool:
    """Return whether this machine has a folder; True for a prefix of a bucket, without asking."""
    return is_object(root) or os.path.isdir(root)


def read_below(root: str, path: str, max_bytes: int) -> bytes:
    """Read the file at a path below a folder.

    Rows may be written by untrusted users, so links are resolved and the path must stay below.

    Raises:
        UnreadableImage: The path leads out of the folder.
        ImageVanished: There is no such file, or it cannot be read.
        ImageTooLarge: It has more than `max_bytes` bytes.
    """
    folder = os.path.realpath(root)
    file = os.path.realpath(os.path.join(folder, path))
    if os.path.commonpath([folder, file]) != folder:
        raise UnreadableImage(f"the path leads out of {root}")
    if not os.path.isfile(file):
        # Not opened, because opening a pipe would block for ever.
        raise ImageVanished(f"there is no file {file}")
    return read(file, max_bytes)


def uri_below(root: str, name: str) -> str:
    """Return the URI of an object: of its key below a prefix, or the name itself if it is a URI.

    Rows may be written by untrusted users, so the object must be below the prefix.

    Raises:
        UnreadableImage: The URI is of another prefix.
    """
    prefix = f"{root.rstrip('/')}/"
    uri = name if names.is_uri(name) else f"{prefix}{name}"
    if not uri.startswith(prefix):
        raise UnreadableImage(f"the URI is not below {root}")
    return uri


def url_below(folder: str, path: str) -> str:
    """Return the URL of a path below that of a folder.

    Raises:
        UnreadableImage: The path leads out of the folder.
    """
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise UnreadableImage(f"the path leads out of {folder}")
    return f"{folder}/{quote(path)}"
