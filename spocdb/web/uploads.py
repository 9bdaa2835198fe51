"""Bodies of requests: bounded in bytes and in the time until they have arrived."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spocdb.web import problems
from spocdb.web.options import Bounds

# The only form, which is open to those without a token.
SIGN_IN, FORM_BYTES = "/sign-in", 16 * 2**10


class BodyLimit:
    """Ends a request whose body is too large, or comes too slowly, or with too many others."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self._app, self._bounds = app, bounds
        # Of all requests. Only the event loop's thread changes it.
        self._n_held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = FORM_BYTES if scope["path"] == SIGN_IN else self._bounds.upload_bytes
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared) > most:
            await _too_large(most)(scope, receive, send)
            return
        body = _Body()
        try:
            await self._app(scope, self._bounded(receive, body, most), send)
        finally:
            self._n_held -= body.n_bytes

    def _bounded(self, receive: Receive, body: "_Body", most: int) -> Receive:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._bounds.upload_seconds

        async def bounded() -> Message:
            if body.is_whole:
                # Only a disconnect can follow, however long the answer takes.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), until - loop.time())
            except TimeoutError:
                seconds = f"{self._bounds.upload_seconds:g}"
                raise _ended(408, f"the body must arrive within {seconds} s") from None
            n_more = len(message.get("body", b""))
            body.n_bytes += n_more
            self._n_held += n_more
            body.is_whole = not message.get("more_body", False)
            if body.n_bytes > most:
                raise _ended(413, _detail(most))
            if self._n_held > self._bounds.all_upload_bytes:
                raise _ended(503, "too many pictures arrive at once: try again in a moment")
            return message

        return bounded


class _Body:
    """What has arrived of a request's body."""

    n_bytes, is_whole = 0, False


def _too_large(most: int) -> Response:
    return problems.response(413, _detail(most), "too-large", headers={"Connection": "close"})


def _detail(most: int) -> str:
    return f"the body may have {most:,} bytes: send a smaller picture"


def _ended(status: int, detail: str) -> HTTPException:
    # The rest of the body is not read, so the connection cannot be used again.
    return HTTPException(status, detail, {"Connection": "close"})
