"""Fetch a URL: one deadline for the whole fetch, only public addresses, only http(s)."""

import base64
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import httpcore
import httpx

from spocdb.errors import ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.sources.hosts import slot
from spocdb.sources.sockets import TROUBLE, Deadline, Vetted

# Seconds for the whole fetch, so that a server that answers byte by byte cannot block a worker.
FETCH_SECONDS = 30.0
MOST_REDIRECTIONS = 10
REDIRECTIONS = (301, 302, 303, 307, 308)
HOST = re.compile(rb"[\w.:-]+")
BLANKS = " \t\r\n\f\v"
# Content types of error pages. Not text/plain, which servers also send for files of unknown type.
NO_IMAGES = ("text/html", "text/xml", "text/css", "text/javascript", "multipart/")
NO_IMAGES_AT_THE_END = ("json", "xml", "javascript")

Headers = Mapping[str, str]
T = TypeVar("T")
# Reads an answer, with its headers; raises ImageError.
Take = Callable[[httpcore.Response, Headers], T]


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
    take = partial(_whole, max_bytes)
    return answered(parse(url), take, (), seconds, None if allow_private else advice)


def answered(
    target: httpx.URL,
    take: Take[T],
    more: Iterable[tuple[bytes, bytes]],
    seconds: float,
    advice: str | None,
) -> T:
    """Return what `take` reads from the answer, after redirections; `more` are headers.

    Without `advice`, how to allow them, it connects to addresses that are not public, too.

    Raises:
        AddressRefused: An address is not public.
        ImageVanished: The network fails.
        ImageError: What `take` raises.
    """
    with slot(target.host):
        backend = Vetted(Deadline(seconds), advice)
        try:
            with httpcore.ConnectionPool(_tls(), network_backend=backend) as pool:
                for _ in range(1 + MOST_REDIRECTIONS):
                    taken, target = _get(pool, target, take, more)
                    if taken is not None:
                        return taken
        except TROUBLE as error:
            raise ImageVanished(f"cannot fetch: {str(error) or type(error).__name__}") from error
    raise ImageVanished(f"cannot fetch: more than {MOST_REDIRECTIONS} redirections")


def parse(url: str) -> httpx.URL:
    """Return a URL as it is sent: stripped, with blanks and non-ASCII letters encoded.

    Raises:
        UnreadableImage: The URL can never be fetched. The message does not quote the URL, which may
            contain a password.
    """
    try:
        parsed = httpx.URL(url.strip(BLANKS))
        _ = parsed.host  # decoded only now: it may be no name of an international host
    except (httpx.InvalidURL, ValueError):
        raise UnreadableImage("not a URL: its host, port or characters are invalid") from None
    if parsed.scheme not in ("http", "https"):
        raise UnreadableImage("not a URL of http or https")
    if not HOST.fullmatch(parsed.raw_host) or not 0 < (parsed.port or 80) < 65536:
        raise UnreadableImage("not a URL: its host or port is invalid")
    return parsed


def _get(
    pool: httpcore.ConnectionPool,
    target: httpx.URL,
    take: Take[T],
    more: Iterable[tuple[bytes, bytes]],
) -> tuple[T | None, httpx.URL]:
    """Return what is taken from the answer of a URL, or None and the URL that it redirects to."""
    where = httpcore.URL(
        scheme=target.raw_scheme,
        host=target.raw_host,
        port=target.port,
        target=target.raw_path,
    )
    with pool.stream("GET", where, headers=[*_headers(target), *more]) as response:
        headers = {name.lower().decode("latin-1"): value for name, value in response.headers}
        if response.status in REDIRECTIONS and "location" in headers:
            return None, _redirected(target, headers["location"])
        said = {name: value.decode("latin-1") for name, value in headers.items()}
        return take(response, said), target


def _whole(max_bytes: int, response: httpcore.Response, headers: Headers) -> bytes:
    """Return the body of an answer that is an image."""
    _check(response, headers)
    if int(headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    return _joined(response.iter_stream(), max_bytes)


def _headers(target: httpx.URL) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"Host", target.netloc),
        (b"User-Agent", b"spocdb"),
        (b"Accept", b"image/*, */*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
    ]
    if target.userinfo:
        secret = base64.b64encode(unquote_to_bytes(target.userinfo))
        headers.append((b"Authorization", b"Basic " + secret))
    return headers


def _redirected(target: httpx.URL, location: bytes) -> httpx.URL:
    try:
        # Browsers decode it as UTF-8 too.
        return parse(str(target.join(location.decode("utf-8", "replace").strip(BLANKS))))
    except (httpx.InvalidURL, ValueError, UnreadableImage) as error:
        # An error of the server, which may be temporary, and not of the row.
        raise ImageVanished(
            "cannot fetch: redirected to an address that is no URL of http(s)"
        ) from error


def _check(response: httpcore.Response, headers: Headers) -> None:
    """Raise ImageVanished for an answer that is no image, whatever its body."""
    if response.status != 200:
        raise ImageVanished(status_of(response))
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # The endings include SVG, which spocdb cannot decode.
    if kind.startswith(NO_IMAGES) or kind.endswith(NO_IMAGES_AT_THE_END):
        raise ImageVanished(f"cannot fetch: the answer is {kind}, no image")
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


@cache
def _tls() -> ssl.SSLContext:
    # Cached, because reading the system's certificates takes longer than many fetches.
    return ssl.create_default_context()
