"""The map of a collection as a page, or how to make one."""

from fastapi import APIRouter
from fastapi.responses import Response

from spocdb.web.pages.looking import around
from spocdb.web.pages.rendering import PageRoute, page
from spocdb.web.requests import Collection, Db, Options
from spocdb.web.routes import maps

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/collections/{name}/map")
def map_(
    db: Db, options: Options, name: Collection, projection: maps.Projection = None
) -> Response:
    """Show the map of a collection, which the page's module draws."""
    about = around(db, options, name)
    wanted = projection or about["own"].projection
    made = db.maps(name)
    found = next((one for one in made if one.projection == wanted), None)
    return page(
        "map.html",
        found=found,
        n_shown=None if found is None else maps.told(found).n_shown,
        wanted=wanted,
        others=[one.projection for one in made if one is not found],
        **about,
    )
