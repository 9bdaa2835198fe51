"""Who may ask: the Host header, the origin of changes, the token; and headers that protect a page.

A page of another site can make a browser send requests to this server. It cannot read the answers,
unless its own name leads here (DNS rebinding), which the Host header shows. It cannot change
anything, because browsers say where a request comes from.
"""

import hashlib
import hmac
import ipaddress
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spocdb.web import problems
from spocdb.web.headers import PROTECTION
from spocdb.web.options import LOOPBACK_NAMES, ServerOptions, is_loopback

COOKIE = "spocdb_session"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Whether the server runs is no secret. The sign-in form has to be reachable, with its style sheet.
OPEN_PATHS = ("/healthz", "/readyz", "/sign-in")
OPEN_FOLDER = "/static/"


class Guard:
    """Refuses what is not meant for this server, before any route sees it."""

    def __init__(self, app: ASGIApp, options: ServerOptions) -> None:
        self._app, self._options = app, options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PROTECTION.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, protected)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_known(headers.get("host", "")):
            return problems.response(
                421,
                "the Host header is no name of this server; whoever runs it can add names",
                "unknown-host",
            )
        if scope["method"] not in SAFE_METHODS and not _is_same_origin(headers):
            return problems.response(
                403, "requests from pages of other sites are refused", "cross-origin"
            )
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or self._is_signed_in(headers):
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse(f"/sign-in?next={_address(scope)}", 303)
        return problems.response(
            401,
            "send the header `Authorization: Bearer TOKEN`",
            "token-needed",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _is_known(self, host: str) -> bool:
        """Tell whether a Host header names this server; no rebinding leads to an IP address."""
        name = _name_of(host)
        known = (*LOOPBACK_NAMES, self._options.host, *self._options.names)
        if name in map(str.lower, known):
            return True
        return not is_loopback(self._options.host) and _is_address(name)

    def _is_signed_in(self, headers: Headers) -> bool:
        token = self._options.token
        if token is None:
            return True
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # Starlette decodes headers as Latin-1; the token is UTF-8.
            return hmac.compare_digest(sent.strip().encode("latin-1"), token.encode())
        return hmac.compare_digest(_cookie(headers).encode(), session(token).encode())


def session(token: str) -> str:
    """Return the value of the cookie of those who know the token, which it does not reveal."""
    return hmac.new(token.encode(), b"spocdb session", hashlib.sha256).hexdigest()


def _address(scope: Scope) -> str:
    """Return the address that was asked for, quoted as a parameter."""
    query = scope["query_string"].decode("latin-1")
    return quote(scope["raw_path"].decode("latin-1") + (query and f"?{query}"), safe="")


def _cookie(headers: Headers) -> str:
    # Not http.cookies: it drops all of them for one that another program set malformed.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _is_same_origin(headers: Headers) -> bool:
    """Tell whether a request comes from this server's own page, or from no page at all."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """Return the name or address in a Host header, without its port; empty if malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
