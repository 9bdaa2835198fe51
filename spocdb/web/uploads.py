"""Bodies of requests: bounded in bytes and in the time until they have arrived."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spocdb.web import problems
from spocdb.web.options import Bounds

# Beside the picture, a form holds a few short fields.
FORM_BYTES = 64 * 2**10


class BodyLimit:
    """Ends a request whose body is too large, or comes too slowly."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self._app, self._bounds = app, bounds
        self._most = bounds.upload_bytes + FORM_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self._most:
            await self._too_large()(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive), send)

    def _bounded(self, receive: Receive) -> Receive:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._bounds.upload_seconds
        n_bytes, is_whole = 0, False

        async def bounded() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:
                # Only a disconnect can follow, however long the answer takes.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), until - loop.time())
            except TimeoutError:
                seconds = f"{self._bounds.upload_seconds:g}"
                raise _ended(408, f"the body must arrive within {seconds} s") from None
            n_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_bytes > self._most:
                raise _ended(413, self._detail())
            return message

        return bounded

    def _too_large(self) -> Response:
        return problems.response(413, self._detail(), "too-large", headers={"Connection": "close"})

    def _detail(self) -> str:
        return f"a picture may have {self._bounds.upload_bytes:,} bytes: send a smaller one"


def _ended(status: int, detail: str) -> HTTPException:
    # The rest of the body is not read, so the connection cannot be used again.
    return HTTPException(status, detail, {"Connection": "close"})
