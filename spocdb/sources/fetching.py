"""Fetch a URL: one deadline for the whole fetch, only public addresses, only http(s)."""

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
from spocdb.sources.hosts import is_public, resolve, slot

# Seconds for the whole fetch, so that a server that answers byte by byte cannot block a worker.
FETCH_SECONDS = 30.0
MOST_REDIRECTIONS = 10
REDIRECTIONS = (301, 302, 303, 307, 308)
HOST = re.compile(rb"[\w.:-]+")
BLANKS = " \t\r\n\f\v"
# Content types of error pages. Not text/plain, which servers also send for files of unknown type.
NO_IMAGES = ("text/html", "text/xml", "text/css", "text/javascript", "multipart/")
NO_IMAGES_AT_THE_END = ("json", "xml", "javascript")

# Network failures, which may be temporary.
TROUBLE = (
    OSError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


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
    target = parse(url)
    with slot(target.host):
        backend = _Vetted(_Deadline(seconds), None if allow_private else advice)
        return _fetched(target, max_bytes, backend)


def _fetched(target: httpx.URL, max_bytes: int, backend: "_Vetted") -> bytes:
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
        # Browsers decode it as UTF-8 too.
        return parse(str(target.join(location.decode("utf-8", "replace").strip(BLANKS))))
    except (httpx.InvalidURL, ValueError, UnreadableImage) as error:
        # An error of the server, which may be temporary, and not of the row.
        raise ImageVanished(
            "cannot fetch: redirected to an address that is no URL of http(s)"
        ) from error


def _check(response: httpcore.Response, headers: dict[str, str]) -> None:
    """Raise ImageVanished for an answer that is no image, whatever its body."""
    if response.status != 200:
        reason = response.extensions.get("reason_phrase", b"").decode("latin-1")
        raise ImageVanished(f"cannot fetch: HTTP {response.status} {reason}".rstrip())
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # The endings include SVG, which spocdb cannot decode.
    if kind.startswith(NO_IMAGES) or kind.endswith(NO_IMAGES_AT_THE_END):
        raise ImageVanished(f"cannot fetch: the answer is {kind}, no image")
    if (packed := headers.get("content-encoding", "identity").lower()) != "identity":
        raise ImageVanished(f"cannot fetch: the answer has the encoding {packed}")


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


class _Deadline:
    """The deadline of a fetch."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: None are left.
        """
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("it took too long")
        return seconds


class _Vetted(httpcore.NetworkBackend):
    """Opens connections: resolves a name, checks its addresses, connects to one of them.

    With `advice`, how to allow them, addresses that are not public are refused.
    """

    def __init__(self, deadline: _Deadline, advice: str | None) -> None:
        self._deadline, self._advice = deadline, advice
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> "_Timed":
        """Connect to the first address that answers.

        Raises:
            AddressRefused: One of the addresses is not public.
        """
        addresses = resolve(host, port, self._deadline.left())
        for address in addresses:
            if self._advice and not is_public(address):
                raise AddressRefused(
                    f"{host} is at {address}, which is not public: {self._advice} if that is meant",
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
    """A connection whose reads, writes and TLS handshake time out at the deadline."""

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
