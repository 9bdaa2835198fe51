"""Fetch what a URL leads to: one deadline over all of it, only public addresses, only http(s)."""

import base64
import re
import ssl
import time
from collections.abc import Iterable
from functools import cache
from urllib.parse import unquote_to_bytes

import httpcore
import httpx

from spocdb.errors import AddressRefused, ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.sources.hosts import is_public, resolve

# Seconds for all of it: whoever answers a byte at a time must not hold a worker up.
FETCH_SECONDS = 30.0
MOST_REDIRECTIONS = 10
REDIRECTIONS = (301, 302, 303, 307, 308)
HOST = re.compile(rb"[\w.:-]+")
BLANKS = " \t\r\n\f\v"
# What error pages come as. Not text/plain: servers call files so whose type they do not know.
NO_IMAGES = ("text/html", "text/xml", "text/css", "text/javascript", "multipart/")
NO_IMAGES_AT_THE_END = ("json", "xml", "javascript")

# The network's trouble as httpcore names it; what it says may be better another time.
TROUBLE = (
    OSError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


def fetch(
    url: str, max_bytes: int, *, allow_private: bool = False, seconds: float = FETCH_SECONDS
) -> bytes:
    """Fetch a URL (http, https), redirections included, in so many seconds altogether.

    Unless `allow_private`, only public addresses are talked to, however a name resolves, and no
    proxy. Raises:
    UnreadableImage for what can never be fetched.
    AddressRefused for an address that is not public.
    ImageTooLarge for more bytes than `max_bytes`.
    ImageVanished for everything that may be better another time.
    """
    target = parse(url)
    backend = _Vetted(_Deadline(seconds), allow_private)
    try:
        with httpcore.ConnectionPool(_tls(), network_backend=backend) as pool:
            for _ in range(1 + MOST_REDIRECTIONS):
                answer = _get(pool, target, max_bytes)
                if isinstance(answer, bytes):
                    return answer
                target = answer
    except TROUBLE as error:
        raise ImageVanished(f"cannot fetch: {str(error) or type(error).__name__}") from error
    raise ImageVanished(f"cannot fetch: more than {MOST_REDIRECTIONS} redirections")


def parse(url: str) -> httpx.URL:
    """Return a URL as it is sent: blanks around it gone, blanks and letters in it encoded.

    Raises UnreadableImage for what can never be fetched. Its message quotes nothing of the URL,
    which may hold a password.
    """
    try:
        parsed = httpx.URL(url.strip(BLANKS))
        _ = parsed.host  # decoded only now: it may be no name of an international host
    except (httpx.InvalidURL, ValueError):
        raise UnreadableImage("not a URL: its host, port or characters make no sense") from None
    if parsed.scheme not in ("http", "https"):
        raise UnreadableImage("not a URL of http or https")
    if not HOST.fullmatch(parsed.raw_host) or not 0 < (parsed.port or 80) < 65536:
        raise UnreadableImage("not a URL: no such host or port can be")
    return parsed


def _get(pool: httpcore.ConnectionPool, target: httpx.URL, max_bytes: int) -> bytes | httpx.URL:
    """Return the body that a URL gives, or the URL that it redirects to."""
    where = httpcore.URL(
        scheme=target.raw_scheme,
        host=target.raw_host,
        port=target.port,
        target=target.raw_path,
    )
    with pool.stream("GET", where, headers=_headers(target)) as response:
        headers = {name.lower().decode("latin-1"): value for name, value in response.headers}
        if response.status in REDIRECTIONS and "location" in headers:
            return _redirected(target, headers["location"])
        _check(response, {name: value.decode("latin-1") for name, value in headers.items()})
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
        # Browsers read it as UTF-8 too.
        return parse(str(target.join(location.decode("utf-8", "replace").strip(BLANKS))))
    except (httpx.InvalidURL, ValueError, UnreadableImage) as error:
        # Of the server's making: it may be mended, and the row is not to blame.
        raise ImageVanished("cannot fetch: redirected to what is no URL of http(s)") from error


def _check(response: httpcore.Response, headers: dict[str, str]) -> None:
    """Raise ImageVanished for an answer that is no image, whatever its body."""
    if response.status != 200:
        reason = response.extensions.get("reason_phrase", b"").decode("latin-1")
        raise ImageVanished(f"cannot fetch: HTTP {response.status} {reason}".rstrip())
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # SVG too, which no network looks at.
    if kind.startswith(NO_IMAGES) or kind.endswith(NO_IMAGES_AT_THE_END):
        raise ImageVanished(f"cannot fetch: the answer is {kind}, no image")
    if (packed := headers.get("content-encoding", "identity").lower()) != "identity":
        raise ImageVanished(f"cannot fetch: the answer is packed by {packed}")


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
    # Reading the system's certificates takes longer than many a fetch.
    return ssl.create_default_context()


class _Deadline:
    """The moment at which a fetch must be done."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left. Raises TimeoutError when there are none."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("it took too long")
        return seconds


class _Vetted(httpcore.NetworkBackend):
    """Opens connections: looks a name up, checks its addresses, and connects to what it checked."""

    def __init__(self, deadline: _Deadline, allow_private: bool) -> None:
        self._deadline, self._allow_private = deadline, allow_private
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> "_Timed":
        """Connect to the first address that answers. Raises AddressRefused if one is private."""
        addresses = resolve(host, port, self._deadline.left())
        for address in addresses:
            if not (self._allow_private or is_public(address)):
                raise AddressRefused(
                    f"{host} is at {address}, which is not public: attach with "
                    "`allow_private=True` if that is meant",
                    field="allow_private",
                )
        failure: Exception = OSError(f"{host} has no address")
        for n_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                seconds = self._deadline.left() / n_left
                return _Timed(self._sockets.connect_tcp(address, port, seconds), self._deadline)
            except TROUBLE as error:
                failure = error
        raise failure


class _Timed(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline, TLS handshakes included."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "_Timed":
        left = self._deadline.left()
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()
