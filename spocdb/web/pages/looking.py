"""A collection as a page: its newest images, or those that look like one of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from spocdb.api import Database
from spocdb.errors import CollectionNotFound
from spocdb.web.addresses import segment
from spocdb.web.options import ServerOptions
from spocdb.web.pages.rendering import PageRoute, page
from spocdb.web.pages.variance import plot
from spocdb.web.requests import Collection, Conditions, Db, Options
from spocdb.web.routes import browsing, projections
from spocdb.web.routes import collections as listing

# Fills the first screen of a large monitor.
FIRST = 120
# Of these the browser asks before it knows where they stand. The others wait for the layout.
SEEN = 24
# Failures a page.
FAILURES = 100

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Ids = Annotated[list[str], Query(default_factory=list)]


@router.get("/")
def start(db: Db, options: Options) -> Response:
    """Show the first collection, or how to make one."""
    shown = listing.collections(db, options)
    if not shown:
        return page("empty.html", collections=[])
    largest = max(shown, key=lambda one: one.n_images)
    return RedirectResponse(f"/collections/{segment(largest.name)}", 303)


@router.get("/collections/{name}")
def collection(
    db: Db, options: Options, name: Collection, filter: Conditions, like: Ids, picture: str = ""
) -> Response:
    """Show a collection's newest images; a search's results are filled in by the page's module."""
    about, first = around(db, options, name), None
    # Results cannot be rendered here: the browser has the picture.
    if not (like or picture):
        all_of_it: tuple[int, list[str]] = (about["own"].n_images, [])
        total, notes = browsing.counted(db, name, filter) if filter else all_of_it
        first = browsing.listed(db, name, filter, None, FIRST, total, notes)
    others = [one for one in db.pca.list() if name in one.embedded and name not in one.active]
    return page("collection.html", first=first, n_seen=SEEN, others=others, **about)


@router.get("/collections/{name}/failures")
def failures(db: Db, options: Options, name: Collection, after: listing.After = None) -> Response:
    """Show what could not be stored, and why."""
    found = listing.failures(db, name, after, FAILURES)
    return page("failures.html", shown=found, after=after, **around(db, options, name))


@router.get("/collections/{name}/projections")
def versions(
    request: Request, db: Db, options: Options, name: Collection, changes: projections.Known
) -> Response:
    """Show the projections that embed a collection or could, and which of them is active."""
    found = projections.projections(db, options, name)
    return page(
        "projections.html",
        versions=found,
        plots={one.number: plot(one.explained) for one in found},
        change=projections.change(request, db, name, changes),
        # What two projections find is compared for this picture first.
        example=next(iter(db.newest(collection=name, limit=1)), None),
        is_review=options.is_review,
        **around(db, options, name),
    )


def around(db: Database, options: ServerOptions, name: str) -> dict[str, Any]:
    """Return what every page about a collection shows."""
    shown = listing.collections(db, options)
    own = next((one for one in shown if one.name == name), None)
    if own is None:
        raise CollectionNotFound(f"there is no collection named {name} here")
    return {"collections": shown, "own": own}
