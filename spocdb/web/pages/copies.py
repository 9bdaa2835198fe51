"""The near-duplicates of a collection as a page, or how to find them."""

from fastapi import APIRouter
from fastapi.responses import Response

from spocdb.errors import DuplicatesNotFound
from spocdb.web.pages.looking import around
from spocdb.web.pages.rendering import PageRoute, page
from spocdb.web.requests import Collection, Db, Options

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/collections/{name}/duplicates")
def duplicates(db: Db, options: Options, name: Collection) -> Response:
    """Show the duplicates of a collection, which the page's module fills in."""
    about = around(db, options, name)
    try:
        found = db.review.count(name)
    except DuplicatesNotFound:
        found = None
    return page("duplicates.html", found=found, is_review=options.is_review, **about)
