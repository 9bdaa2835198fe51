"""The names of files in the database: text that PostgreSQL can store, and the path back from it."""

import os
import re

from spocdb import checks
from spocdb.redaction import redact
from spocdb.text import LONGEST_KEY, shortened

# The beginning of a URI. A path has one slash there, also where it is called like a scheme.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# The host and the path of a URL.
_URL = re.compile(r"https?://[^/?#]*([^?#]*)", re.IGNORECASE)
_SHORTENED = re.compile(r"(.{200})\.\.\. [0-9a-f]{32}", re.DOTALL)


def is_uri(argument: str) -> bool:
    """Return whether an argument is a URI, such as a URL or an object's, and not a path."""
    return _SCHEME.match(argument) is not None


def stored(argument: str | os.PathLike[str]) -> str:
    """Return the name under which an argument is stored: a URI as it is, a path absolute.

    Raises:
        InvalidValue: The argument is no path, or empty.
    """
    text = checks.path("path", argument)
    return text if is_uri(text) else printable(os.path.abspath(text))


def problem(path: str) -> str | None:
    """Return why the database cannot store a path, and what to do; None if it can."""
    if not storable(path):
        return "the file's name is not UTF-8: rename it"
    if (n_bytes := len(path.encode())) > LONGEST_KEY:
        return f"the path has {n_bytes:,} bytes, of at most {LONGEST_KEY:,}: shorten it"
    return None


def storable(path: str) -> bool:
    """Return whether a path is valid UTF-8, as PostgreSQL requires."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(path: str) -> str:
    """Return the name under which a path can be listed: printable, and short enough."""
    return shortened(printable(path))


def is_shortened(name: str) -> bool:
    """Return whether `listed` shortened this name, so that its path is unknown."""
    return _SHORTENED.fullmatch(name) is not None


def printable(path: str) -> str:
    r"""Return a path with every byte that is not UTF-8 escaped, such as `caf\udce9.jpg`."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def on_disk(path: str) -> str:
    """Return the path of a name from `printable`."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda byte: chr(int(byte[1], 16)), path)


def is_there(path: str) -> bool:
    """Return whether there is a file, or a broken link, of a name from `listed`.

    Of a shortened path only the folder at its beginning can be checked.
    """
    if shortened := _SHORTENED.fullmatch(path):
        path = os.path.dirname(shortened[1])
    return _exists(path) or _exists(on_disk(path))


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # no permission to look: it may still exist
    return True


def file_in(name: str, suffix: re.Pattern[str]) -> str | None:
    """Return the first part of a path that ends with the suffix and is no folder, or None.

    The host of a URL does not count. None for a URL with a query, which names one image to its
    server, and for a URI that holds credentials: whoever lists it hides them.
    """
    if has_query(name):
        return None
    url = _URL.match(name)
    ends = (match.end() for match in suffix.finditer(name, url.start(1) if url else 0))
    found = next((name[:end] for end in ends if not os.path.isdir(name[:end])), None)
    return None if found and is_uri(found) and _is_secret(found) else found


def has_query(name: str) -> bool:
    """Return whether a name is a URL with a query or a fragment."""
    url = _URL.match(name)
    return url is not None and url.end() < len(name)


def _is_secret(uri: str) -> bool:
    """Return whether a URI holds credentials."""
    return "@" in uri.split("/", 3)[2] or redact(uri) != uri


def version_now(path: str) -> str:
    """Return the version of a file as a whole, by its time and size; empty if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return ""  # opening it says why
    return f"{found.st_mtime_ns} {found.st_size}"
