"""Ask for URLs: connections to public addresses only, redirections, one deadline for an answer."""

import base64
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from urllib.parse import unquote_to_bytes

import httpcore
import httpx

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources.sockets import TROUBLE, Deadline, Vetted

MOST_REDIRECTIONS = 10
REDIRECTIONS = (301, 302, 303, 307, 308)
HOST = re.compile(rb"[\w.:-]+")
BLANKS = " \t\r\n\f\v"

Headers = Mapping[str, str]
# Names and values of headers that are sent beside the usual ones.
More = Iterable[tuple[bytes, bytes]]
CLOSE = (b"Connection", b"close")


class Line:
    """Asks for one URL after the other; used by one thread at a time.

    Without `advice`, how to allow them, it connects to addresses that are not public, too. Proxies
    are not used.
    """

    def __init__(self, advice: str | None) -> None:
        self._deadline = Deadline(0.0)
        backend = Vetted(self._deadline, advice)
        self._pool = httpcore.ConnectionPool(_tls(), network_backend=backend)

    @contextmanager
    def answer(
        self, target: httpx.URL, more: More, seconds: float
    ) -> Iterator[tuple[httpcore.Response, Headers]]:
        """Yield the answer after redirections, with its headers; `more` are headers that are sent.

        Until `renew` is called, the body has to be read within `seconds`, too.

        Raises:
            AddressRefused: An address is not public.
            ImageVanished: The network fails, also while the block reads the body.
        """
        self.renew(seconds)
        with trouble_told():
            for _ in range(1 + MOST_REDIRECTIONS):
                with self._pool.stream("GET", _where(target), headers=_sent(target, more)) as found:
                    headers = {name.lower(): value for name, value in found.headers}
                    if found.status in REDIRECTIONS and b"location" in headers:
                        target = _redirected(target, headers[b"location"])
                        continue
                    yield (
                        found,
                        {k.decode("latin-1"): v.decode("latin-1") for k, v in headers.items()},
                    )
                    return
        raise ImageVanished(f"cannot fetch: more than {MOST_REDIRECTIONS} redirections")

    def renew(self, seconds: float) -> None:
        """Let what follows take so many seconds."""
        self._deadline.renew(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


@contextmanager
def trouble_told() -> Iterator[None]:
    """Raise ImageVanished for failures of the network in the block."""
    try:
        yield
    except TROUBLE as error:
        raise ImageVanished(f"cannot fetch: {str(error) or type(error).__name__}") from error


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


def _where(target: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=target.raw_scheme,
        host=target.raw_host,
        port=target.port,
        target=target.raw_path,
    )


def _sent(target: httpx.URL, more: More) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"Host", target.netloc),
        (b"User-Agent", b"spocdb"),
        (b"Accept", b"image/*, */*"),
        (b"Accept-Encoding", b"identity"),
        *more,
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


@cache
def _tls() -> ssl.SSLContext:
    # Cached, because reading the system's certificates takes longer than many fetches.
    return ssl.create_default_context()
