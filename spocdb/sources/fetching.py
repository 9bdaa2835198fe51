"""Fetch a URL: one deadline for the whole fetch, only public addresses, only http(s)."""

from collections.abc import Iterable

import httpcore

from spocdb.errors import ImageTooLarge, ImageVanished
from spocdb.sources.hosts import slot
from spocdb.sources.lines import CLOSE, Headers, Line, parse

# Seconds for the whole fetch, so that a server that answers byte by byte cannot block a worker.
FETCH_SECONDS = 30.0
# Content types of error pages. Not text/plain, which servers also send for files of unknown type.
NO_IMAGES = ("text/html", "text/xml", "text/css", "text/javascript", "multipart/")
NO_IMAGES_AT_THE_END = ("json", "xml", "javascript")


def fetch(
    url: str,
    max_bytes: int,
    *,
    allow_private: bool = False,
    seconds: float = FETCH_SECONDS,
    advice: str = "attach with `allow_private=True`",
) -> bytes:
    """Fetch a URL (http, https), including redirections, within `seconds`.

    It waits for its turn first, so that a host is asked by a few threads of a process at once.
    Unless `allow_private`, it connects only to public addresses, checked after the look-up of the
    name; `advice` says how to allow others. Proxies are not used.

    Raises:
        UnreadableImage: The URL can never be fetched.
        AddressRefused: An address is not public.
        ImageTooLarge: The answer has more than `max_bytes` bytes.
        ImageVanished: Any other failure, which may be temporary.
    """
    target, line = parse(url), Line(None if allow_private else advice)
    try:
        with slot(target.host), line.answer(target, (CLOSE,), seconds) as (response, headers):
            return _whole(max_bytes, response, headers)
    finally:
        line.close()


def _whole(max_bytes: int, response: httpcore.Response, headers: Headers) -> bytes:
    """Return the body of an answer that is an image."""
    _check(response, headers)
    if int(headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    return _joined(response.iter_stream(), max_bytes)


def _check(response: httpcore.Response, headers: Headers) -> None:
    """Raise ImageVanished for an answer that is no image, whatever its body."""
    if response.status != 200:
        raise ImageVanished(status_of(response))
    check_kind(headers, "image")


def check_kind(headers: Headers, what: str) -> None:
    """Raise ImageVanished for bytes that are not those of the file, or those of an error page."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # The endings include SVG, which spocdb cannot decode.
    if kind.startswith(NO_IMAGES) or kind.endswith(NO_IMAGES_AT_THE_END):
        raise ImageVanished(f"cannot fetch: the answer is {kind}, no {what}")
    check_encoding(headers)


def check_encoding(headers: Headers) -> None:
    """Raise ImageVanished for bytes that are not those of the file."""
    if (packed := headers.get("content-encoding", "identity").lower()) != "identity":
        raise ImageVanished(f"cannot fetch: the answer has the encoding {packed}")


def status_of(response: httpcore.Response) -> str:
    """Return what is told of an answer without what was asked for."""
    reason = response.extensions.get("reason_phrase", b"").decode("latin-1")
    return f"cannot fetch: HTTP {response.status} {reason}".rstrip()


def _joined(blocks: Iterable[bytes], max_bytes: int) -> bytes:
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
    if not data:
        raise ImageVanished("cannot fetch: the answer is empty")
    return bytes(data)


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"over the limit of {max_bytes} bytes: raise SPOCDB_MAX_BYTES if you trust it",
        field="max_bytes",
        bound=max_bytes,
    )
