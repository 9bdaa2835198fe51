"""Errors as problem details (RFC 9457), with the codes of the library's errors."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from spocdb import errors
from spocdb.web.headers import PROTECTION

MEDIA_TYPE = "application/problem+json"
# SQLSTATE of a statement that ran for too long.
ENDED = "57014"

# The first class that fits decides.
STATUS: Sequence[tuple[type[errors.SpocdbError], int]] = (
    (errors.CollectionNotFound, 404),
    (errors.ImageNotFound, 404),
    (errors.ProjectionNotFound, 404),
    (errors.MapNotFound, 404),
    (errors.DuplicatesNotFound, 404),
    (errors.ImageVanished, 404),
    (errors.ImageChanged, 409),
    (errors.ExtractorChanged, 409),
    (errors.ImageTooLarge, 413),
    (errors.ImageError, 422),
    (errors.NotEnoughSamples, 422),
    (errors.WeightsNotFound, 503),
    (errors.ConfigError, 422),
    (errors.RightMissing, 403),
    (errors.DatabaseLost, 503),
    (errors.DatabaseBusy, 503),
    (errors.SchemaOutOfDate, 503),
    (errors.SpocdbError, 500),
)
TITLES = {
    400: "malformed request",
    401: "a token is needed",
    403: "not allowed",
    404: "not found",
    405: "method not allowed",
    408: "the request took too long to arrive",
    409: "changed meanwhile",
    413: "too large",
    415: "unsupported media type",
    421: "unknown host",
    422: "invalid request",
    500: "the server failed",
    503: "not available at the moment",
    504: "the database took too long",
}

# What is said of an error that nobody expected.
BUG = "this is a bug of spocdb: its log has the traceback"

log = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that this server refuses; `code` names the reason for programs.

    `field` is the parameter that is wrong, if it is one, and `bound` what is allowed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        bound: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.field, self.bound = field, bound or None


class Problem(BaseModel):
    """A problem detail: `code` is the library's, `field` and `bound` say which value is wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    bound: str | None = None


# For OpenAPI: any request may end in a problem.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "content": {MEDIA_TYPE: {}}},
    "5XX": {"model": Problem, "content": {MEDIA_TYPE: {}}},
}


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem detail."""
    app.add_exception_handler(errors.SpocdbError, _of_library)
    app.add_exception_handler(Refusal, _of_refusal)
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(ClientDisconnect, _of_disconnect)
    app.add_exception_handler(Exception, _of_bug)


def response(
    status: int,
    detail: str,
    code: str,
    *,
    field: str | None = None,
    bound: object = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem detail as a response."""
    problem = Problem(
        type=f"urn:spocdb:{code}",
        title=TITLES.get(status, "error"),
        status=status,
        detail=detail,
        code=code,
        field=field,
        bound=_text(bound),
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True), status, dict(headers or {}), MEDIA_TYPE
    )


def status_of(error: errors.SpocdbError) -> int:
    """Return the HTTP status of an error of the library."""
    if getattr(error.__cause__, "sqlstate", None) == ENDED:
        return 504
    return next(status for kind, status in STATUS if isinstance(error, kind))


def detail_of(request: Request, error: errors.SpocdbError) -> str:
    """Return what a client is told.

    The library's text may name collections that are not shown, or the database's address.
    """
    if isinstance(error, errors.DatabaseLost):
        return "the database does not answer: try again in a moment; the server's log says why"
    if request.app.state.options.collections and isinstance(error, errors.CollectionNotFound):
        return "there is no such collection here"
    return str(error)


def said_of(request: Request, error: BaseException) -> str:
    """Return what a client is told who asks later, of any error."""
    return detail_of(request, error) if isinstance(error, errors.SpocdbError) else BUG


def note(request: Request, error: errors.SpocdbError) -> None:
    """Log an error that is the server's or the database's fault."""
    if status_of(error) >= 500:
        log.warning("%s %s: %s", request.method, request.url.path, error)


async def _of_library(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.SpocdbError)
    status = status_of(error)
    note(request, error)
    return response(
        *(status, detail_of(request, error), error.code),
        field=error.field,
        bound=error.bound,
        headers={"Retry-After": "5"} if status == 503 else None,
    )


async def _of_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return response(*(error.status, error.detail, error.code), field=error.field, bound=error.bound)


async def _of_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    field = ".".join(place) or None
    detail = f"{field}: {first['msg']}" if field else str(first["msg"])
    return response(422, detail, "invalid-request", field=field)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = TITLES.get(error.status_code, "error")
    return response(
        *(error.status_code, str(error.detail), title.replace(" ", "-")), headers=error.headers
    )


async def _of_disconnect(request: Request, error: Exception) -> Response:
    # Nobody reads it: the client went away while it sent its picture.
    return response(400, "the body ended before it was whole", "malformed-request")


async def _of_bug(request: Request, error: Exception) -> Response:
    # Starlette raises it again afterwards, so that the traceback is logged. This answer passes no
    # other layer, so it gets the protecting headers here.
    return response(500, BUG, "error", headers=PROTECTION)


def _text(bound: object) -> str | None:
    if bound is None or isinstance(bound, str):
        return bound
    return ", ".join(map(str, bound)) if isinstance(bound, Sequence) else str(bound)
