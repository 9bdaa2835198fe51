"""Ask for URLs: connections to public addresses only, redirections, one deadline for an answer."""

import base64
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
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
More = Sequence[tuple[bytes, bytes]]
# Without it a connection is kept for the next request of a line.
CLOSE = (b"Connection", b"close")
# Connections of a line: a URL may lead to another host. Bytes that a redirection may send beside,
# or its connection is closed.
MOST_CONNECTIONS, MOST_BESIDE = 4, 2**16


class Line:
    """Asks for one URL after the other; used by one thread at a time.

    Without `advice`, how to allow them, it connects to addresses that are not public, too. Proxies
    are not used.
    """

    def __init__(self, advice: str | None) -> None:
        self._deadline, self._n_asked = Deadline(0.0), 0
        self._sockets = Vetted(self._deadline, advice)
        self._pool = httpcore.ConnectionPool(
            _tls(), max_connections=MOST_CONNECTIONS, network_backend=self._sockets
        )

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
        self._n_asked = self._sockets.n_opened = 0
        with trouble_told():
            for _ in range(1 + MOST_REDIRECTIONS):
                self._n_asked += 1
                with self._pool.stream("GET", _where(target), headers=_sent(target, more)) as found:
                    headers = {name.lower(): value for name, value in found.headers}
                    if found.status in REDIRECTIONS and b"location" in headers:
                        target = _redirected(target, headers[b"location"])
                        if CLOSE not in more:
                            _pass_over(found)
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

    @property
    def has_reused(self) -> bool:
        """Return whether the last answer, or the failure to get one, came by a kept connection."""
        return self._n_asked > self._sockets.n_opened

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


def _pass_over(response: httpcore.Response) -> None:
    """Read a small body to its end, so that the connection can be kept."""
    n_bytes = 0
    for piece in response.iter_stream():
        n_bytes += len(piece)
        if n_bytes > MOST_BESIDE:
            return


@cache
def _tls() -> ssl.SSLContext:
    # Cached, because reading the system's certificates takes longer than many fetches.
    return ssl.create_default_context()
