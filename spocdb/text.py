"""Text from outside: paths, headers, messages of servers and decoders, metadata.

PostgreSQL cannot store NUL or a lone surrogate, an index limits a key's length, and control
characters disturb a terminal. Outside text is cleaned where it enters.
"""

import hashlib

# Longer messages are cut, because a server may send megabytes.
LONGEST_MESSAGE = 1000
# A btree entry holds at most 2,704 bytes, including the collection's number.
LONGEST_KEY = 2000


def one_line(text: str, longest: int = LONGEST_MESSAGE) -> str:
    r"""Return a message as one printable line: `\x00` for NUL, cut to `longest` characters."""
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return written_out(text)


def written_out(text: str) -> str:
    """Return a text with line breaks and control characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def cleaned(text: str) -> str:
    """Return a value that PostgreSQL can store: U+FFFD for NUL and for lone surrogates."""
    if text.isprintable():
        return text
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def shortened(key: str, most_bytes: int = LONGEST_KEY) -> str:
    """Return a storable key that fits an index; a long one becomes 200 characters and its md5."""
    key = cleaned(key)
    data = key.encode()
    if len(data) <= most_bytes:
        return key
    # The same as in the SQL function spocdb.take_in, so that a row has one name.
    return f"{key[:200]}... {hashlib.md5(data, usedforsecurity=False).hexdigest()}"
