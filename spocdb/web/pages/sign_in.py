"""Signing in: a form takes the token, a cookie keeps a hash of it."""

import hmac
import re
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from spocdb.web.guard import COOKIE, session
from spocdb.web.pages.rendering import PageRoute, page
from spocdb.web.requests import Options

# A second slash or a backslash would lead to another site; browsers drop tabs and line ends.
LOCAL = re.compile(r"/(?![/\\])[\x21-\x7e]*")

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/sign-in")
def form(next: str = "/") -> Response:
    """Return the form that asks for the token."""
    return page("sign_in.html", next=_local(next), is_wrong=False)


@router.post("/sign-in")
async def sign_in(request: Request, options: Options) -> Response:
    """Set the cookie if the token is right."""
    sent = _fields((await request.body()).decode("utf-8", "replace"))
    token, next = (sent.get(name, [""])[0].strip() for name in ("token", "next"))
    known = options.token
    if known is not None and not hmac.compare_digest(token.encode(), known.encode()):
        return page("sign_in.html", 401, next=_local(next), is_wrong=True)
    answer = RedirectResponse(_local(next), 303)
    if known is not None:
        answer.set_cookie(
            *(COOKIE, session(known)),
            httponly=True,
            # Strict would ask again whoever follows a shared link. Changes are checked by origin.
            samesite="lax",
            secure=_is_encrypted(request),
        )
    return answer


def _fields(body: str) -> dict[str, list[str]]:
    try:
        return parse_qs(body, max_num_fields=8)
    except ValueError:  # no form of ours
        return {}


def _local(next: str) -> str:
    """Return where to go on, which must be on this server."""
    return next if LOCAL.fullmatch(next) else "/"


def _is_encrypted(request: Request) -> bool:
    # Behind a proxy that ends TLS, only the browser's own header says so.
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.startswith("https://")
