"""The server: the application behind uvicorn, until it is told to stop."""

import asyncio
import logging
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from spocdb.api import Engine
from spocdb.errors import ConfigError
from spocdb.web.app import create_app
from spocdb.web.options import ServerOptions

# Until the headers of a request must have arrived, on a new connection and after an answer.
SECONDS_FOR_HEADERS = 15
# How long requests may still run after the server was told to stop.
SECONDS_TO_STOP = 4
# Connections beyond this are answered with 503.
MOST_CONNECTIONS = 512

log = logging.getLogger(__name__)


class Protocol(H11Protocol):
    """uvicorn's HTTP, which also ends connections whose headers come too slowly.

    uvicorn bounds only the time between a response and the first byte of the next request.
    """

    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; it may begin the wait for the rest of its headers."""
        super().data_received(data)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._headers_due:
            self._headers_due.cancel()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and self._headers_due:
            self._headers_due.cancel()
            self._headers_due = None
        elif not is_answering and self._headers_due is None:
            self._headers_due = self.loop.call_later(SECONDS_FOR_HEADERS, self._end)

    def _end(self) -> None:
        self._headers_due = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class Server:
    """Serves one engine's database; `run` returns once it was told to stop.

    The socket is opened here, so that a port in use is an error before anything else.

    Attributes:
        url: its address, with the port that was taken if 0 was asked for.

    Raises:
        ConfigError: the host and port cannot be listened on.
    """

    def __init__(self, engine: Engine, options: ServerOptions) -> None:
        self._socket = _listen(options)
        self.url = _url(self._socket)
        self._app = create_app(engine, options)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self._app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=SECONDS_TO_STOP,
                limit_concurrency=MOST_CONNECTIONS,
            )
        )

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT, SIGTERM or `stop`; finish the requests under way.

        `on_ready` is called as soon as requests are answered. A second signal ends all requests.
        """
        self._uvicorn.on_ready = on_ready
        try:
            with self._socket:
                self._uvicorn.run(sockets=[self._socket])
        finally:
            state = self._app.state
            kinds = (state.changes, state.finds, state.calibrations)
            # All end at the same time, instead of one after the other.
            for changes in kinds:
                changes.cancel()
            for changes in kinds:
                changes.stop()

    def stop(self) -> None:
        """Stop the server, from another thread."""
        self._uvicorn.should_exit = True


class _Uvicorn(uvicorn.Server):
    on_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests under way, then close the connections of those that do not end."""
        await super().shutdown(sockets)
        await asyncio.sleep(0)  # lets connections that were just accepted begin
        for connection in [*self.server_state.connections]:
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop closes their sockets

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Overridden, because uvicorn would raise the signal again once the server has stopped.
        self.force_exit, self.should_exit = self.should_exit, True


def _listen(options: ServerOptions) -> socket.socket:
    """Return a socket that listens, so that a port in use is an error before anything else."""
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        # asyncio sets TCP_NODELAY only on sockets that name their protocol. Without it the second
        # part of an answer would wait 40 ms for the client's acknowledgement of the first.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((options.host, options.port))
        except BaseException:
            listening.close()
            raise
        return listening
    except (OSError, OverflowError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ConfigError(
            f"cannot listen on {options.host}:{options.port}: {reason}: "
            "choose another `port=...` or `host='127.0.0.1'`",
            field="port",
        ) from exc


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
