"""Text from outside: paths, headers, messages of servers and decoders, metadata.

PostgreSQL stores neither NUL nor a lone surrogate, and an index takes no long key. A terminal takes
no control characters. So outside text is cleaned where it enters, not where it is stored.
"""

import hashlib

# Longer messages are cut: nobody reads further, and a server may send megabytes.
LONGEST_MESSAGE = 1000
# A btree index refuses more than 2,704 bytes; the collection's number needs some of them.
LONGEST_KEY = 2000


def one_line(text: str, longest: int = LONGEST_MESSAGE) -> str:
    r"""Return a message as one printable line: `\x00` for NUL, cut to `longest` characters."""
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return written_out(text)


def written_out(text: str) -> str:
    """Return a text with line breaks and control characters written out: names may have any."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def cleaned(text: str) -> str:
    """Return a value that PostgreSQL can store: U+FFFD for NUL and for lone surrogates."""
    if text.isprintable():
        return text
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def shortened(key: str, most_bytes: int = LONGEST_KEY) -> str:
    """Return a storable key that fits an index: a long one by its first 200 characters and md5."""
    key = cleaned(key)
    data = key.encode()
    if len(data) <= most_bytes:
        return key
    # As spocdb.take_in does, so that a row has one name.
    return f"{key[:200]}... {hashlib.md5(data, usedforsecurity=False).hexdigest()}"
