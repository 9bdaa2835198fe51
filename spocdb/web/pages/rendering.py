"""Templates, and errors as pages."""

import shlex
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from spocdb.errors import SpocdbError
from spocdb.web import problems
from spocdb.web.addresses import segment
from spocdb.web.pages import assets


def _name(path: str) -> str:
    """Return the last part of a path, which is what people call the image."""
    return PurePosixPath(path).name or path


def _number(value: int) -> str:
    return f"{value:,}"


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"


templates = Environment(
    loader=PackageLoader("spocdb.web", "templates"),
    # Names and metadata may contain markup.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals["asset"] = assets.address
templates.filters |= {"segment": segment, "name": _name, "number": _number, "day": _day}
templates.filters["quoted"] = shlex.quote


def page(template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Return a template filled with values."""
    # The same address shows more after an ingest.
    headers = {"Cache-Control": "private, no-cache"}
    return HTMLResponse(templates.get_template(template).render(values), status, headers)


class PageRoute(APIRoute):
    """A route whose errors are pages, because a person asked."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that FastAPI would use, with errors shown."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except SpocdbError as error:
                problems.note(request, error)
                return _problem(problems.status_of(error), problems.detail_of(request, error))
            except RequestValidationError as error:
                return _problem(422, str(error.errors()[0]["msg"]))

        return shown


def _problem(status: int, detail: str) -> HTMLResponse:
    title = problems.TITLES.get(status, "error")
    return page("problem.html", status, title=title.capitalize(), detail=detail)
