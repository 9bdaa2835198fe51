"""Connections of fetches: only to public addresses, and all within one deadline."""

import ssl
import time

import httpcore

from spocdb.errors import AddressRefused
from spocdb.sources.hosts import is_public, resolve

# Network failures, which may be temporary.
TROUBLE = (
    OSError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


class Deadline:
    """The deadline of a fetch, or of a part of it."""

    def __init__(self, seconds: float) -> None:
        self.renew(seconds)

    def renew(self, seconds: float) -> None:
        """Let it end so many seconds from now."""
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


class Vetted(httpcore.NetworkBackend):
    """Opens connections: resolves a name, checks its addresses, connects to one of them.

    With `advice`, how to allow them, addresses that are not public are refused. `n_opened` counts
    the connections, also those that fail.
    """

    def __init__(self, deadline: Deadline, advice: str | None) -> None:
        self._deadline, self._advice, self.n_opened = deadline, advice, 0
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
        self.n_opened += 1
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

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
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
