"""How a collection's name stands in an address.

A path cannot hold every name: browsers take `.` and `..` out of it, also percent-encoded, and
proxies read `%2F` as a slash. So these characters are written with a tilde, `~2F` for a slash, and
the tilde itself as `~7E`; all others as in any address.
"""

import re
from urllib.parse import quote

_WRITTEN = re.compile("[/.~]")
_READ = re.compile("~(2F|2E|7E)", re.IGNORECASE)


def segment(name: str) -> str:
    """Return a name as the segment of an address."""
    return quote(_WRITTEN.sub(lambda found: f"~{ord(found[0]):02X}", name), safe="")


def name_of(segment: str) -> str:
    """Return the name that a segment means, once the server has undone percent-encoding."""
    return _READ.sub(lambda found: chr(int(found[1], 16)), segment)
