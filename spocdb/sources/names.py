"""What a file is called in the database: text that PostgreSQL can hold, and the way back."""

import os
import re

from spocdb.text import LONGEST_KEY, shortened

_SHORTENED = re.compile(r"(.{200})\.\.\. [0-9a-f]{32}", re.DOTALL)


def problem(path: str) -> str | None:
    """Return why the database cannot hold a path as it is, and what to do; None if it can."""
    if not storable(path):
        return "the file's name is not UTF-8: rename it"
    if (n_bytes := len(path.encode())) > LONGEST_KEY:
        return f"the path has {n_bytes:,} bytes, of at most {LONGEST_KEY:,}: shorten it"
    return None


def storable(path: str) -> bool:
    """Tell whether a path is valid UTF-8, as text in PostgreSQL must be; else rename the file."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(path: str) -> str:
    """Return the name under which a path can be listed: printable, and short enough."""
    return shortened(printable(path))


def is_shortened(name: str) -> bool:
    """Tell whether `listed` shortened this name, so that the path cannot be had from it."""
    return _SHORTENED.fullmatch(name) is not None


def printable(path: str) -> str:
    r"""Return a path with every byte that is not UTF-8 written out, as in `caf\udce9.jpg`."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def on_disk(path: str) -> str:
    """Return the path that `printable` wrote."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda byte: chr(int(byte[1], 16)), path)


def is_there(path: str) -> bool:
    """Tell whether there is a file, or a link to nothing, at a path as `listed` writes it.

    Of a shortened path only the folder that its beginning names can be looked for.
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
        return True  # it may not be looked at, which does not mean that it is gone
    return True
