"""Read an image from where a row of a table says it is: a path below a folder, or a URL."""

import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.error import HTTPError

from spocdb.errors import AddressRefused, ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.images.sources import read
from spocdb.records import SourceFile

# Seconds for all of it: whoever answers a byte at a time must not hold a worker up.
FETCH_SECONDS = 30.0
BLOCK = 64 * 1024

Socket = TypeVar("Socket", bound=socket.socket)


def read_below(root: str, path: str, max_bytes: int) -> bytes:
    """Read the file at a path below a folder.

    Raises UnreadableImage for a path that leads out of it: rows may be written by anybody.
    Raises ImageVanished and ImageTooLarge as `sources.read` does.
    """
    folder = os.path.realpath(root)
    file = os.path.realpath(os.path.join(folder, path))
    if os.path.commonpath([folder, file]) != folder:
        raise UnreadableImage(f"the path leads out of {root}")
    if not os.path.isfile(file):
        # Opening a pipe would wait for ever.
        raise ImageVanished(f"there is no file {file}")
    return read(SourceFile(file, 0, 0), max_bytes)


def fetch(
    url: str, max_bytes: int, *, allow_private: bool = False, seconds: float = FETCH_SECONDS
) -> bytes:
    """Fetch a URL (http, https), redirections included.

    Unless `allow_private`, only public addresses are talked to, however a name resolves, and no
    proxy. Raises AddressRefused, ImageTooLarge, UnreadableImage for what is no URL, and
    ImageVanished for everything that may be better another time.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise UnreadableImage("not a URL of http or https")
    try:
        with _Deadline(seconds) as deadline:
            opener = _opener(deadline, allow_private)
            request = urllib.request.Request(url, headers={"User-Agent": "spocdb"})
            with opener.open(request, timeout=seconds) as response:
                return _body(response, max_bytes)
    except HTTPError as error:
        error.close()  # it holds the connection
        raise ImageVanished(f"cannot fetch: {error}") from error
    except (OSError, HTTPException) as error:
        # Of urllib's own error the reason says more.
        raise ImageVanished(f"cannot fetch: {getattr(error, 'reason', error) or error}") from error
    except ValueError as error:
        raise UnreadableImage(f"not a URL: {error}") from error


def _body(response: HTTPResponse, max_bytes: int) -> bytes:
    data = bytearray()
    while block := response.read(BLOCK):
        data += block
        if len(data) > max_bytes:
            raise ImageTooLarge(
                f"over the limit of {max_bytes} bytes: raise SPOCDB_MAX_BYTES if you trust it"
            )
    if response.length:
        raise ImageVanished("cannot fetch: the answer broke off")
    return bytes(data)


class _Deadline:
    """Shuts the sockets that were added when time is up: whatever waits for them then fails."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()
        for opened in self._sockets:
            opened.close()

    def left(self) -> float:
        """Return the seconds left. Raises TimeoutError when there are none."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("it took too long")
        return seconds

    def add(self, opened: Socket) -> Socket:
        """Let the socket be shut in time."""
        self._sockets.append(opened)
        self.left()
        return opened

    def _shut(self) -> None:
        for opened in self._sockets:
            # Where TLS began, the plain socket below is closed already.
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


def _opener(deadline: _Deadline, allow_private: bool) -> urllib.request.OpenerDirector:
    """Return an opener that knows http and https alone, and checks whom it talks to."""
    context = ssl.create_default_context()

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = _connect(self.host, self.port, deadline, allow_private)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = _connect(self.host, self.port, deadline, allow_private)
            self.sock = deadline.add(
                context.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
            )
            self.sock.do_handshake()

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Plain, request)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Secure, request)

    opener = urllib.request.OpenerDirector()
    for handler in (
        PlainHandler(),
        SecureHandler(context=context),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _connect(host: str, port: int, deadline: _Deadline, allow_private: bool) -> socket.socket:
    """Open a socket to the first address that answers; what is checked is what is connected to."""
    failure: OSError = OSError(f"no address of {host}")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        if not (allow_private or _is_public(str(address[0]))):
            raise AddressRefused(
                f"{host} is at {address[0]}, which is not public: attach with --allow-private if "
                "that is meant"
            )
        opened = deadline.add(socket.socket(family, kind, protocol))
        opened.settimeout(deadline.left())
        try:
            opened.connect(address)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    # An IPv4 address in IPv6's clothes is judged as what it is.
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    return bool(inner.is_global and not inner.is_multicast)
