"""Query parameters that a route does not know: refused, as a misspelt one would be left out."""

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from spocdb.web.problems import Refusal

# Characters of a name that a message repeats.
LONGEST_SHOWN = 60


async def only_known(request: Request) -> None:
    """Refuse a request with a query parameter that its route does not declare.

    Raises:
        Refusal: there is such a parameter; the message names those that the route knows.
    """
    if not request.query_params:
        return
    known = _known(request.scope["route"])
    for name in request.query_params:
        if name not in known:
            knows = f"one of {', '.join(known)}" if known else "it takes none"
            detail = f"this route has no parameter {name[:LONGEST_SHOWN]!r}: {knows}"
            raise Refusal(422, "unknown-parameter", detail, field=name[:LONGEST_SHOWN], bound=known)


def _known(route: APIRoute) -> list[str]:
    """Return the query parameters that a route and its dependencies declare, sorted."""
    declared = {field.alias for field in get_flat_params(route.dependant)}
    return sorted(declared - route.param_convertors.keys())
