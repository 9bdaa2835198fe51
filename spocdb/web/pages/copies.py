"""The near-duplicates of a collection as a page, or how to find them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from spocdb.errors import DuplicatesNotFound
from spocdb.web.pages.looking import around
from spocdb.web.pages.rendering import PageRoute, page
from spocdb.web.requests import Collection, Db, Options
from spocdb.web.routes import calibrating, finding

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/collections/{name}/duplicates")
def duplicates(
    request: Request,
    db: Db,
    options: Options,
    name: Collection,
    finds: finding.Known,
    calibrations: calibrating.Known,
) -> Response:
    """Show the duplicates of a collection, which the page's module fills in and counts."""
    about = around(db, options, name)
    try:
        found = db.duplicates.asked(name)
    except DuplicatesNotFound:
        found = None
    calibration = calibrating.calibration(request, db, name, calibrations)
    measured = calibration.measured if calibration else None
    # By another projection distances say nothing.
    is_own = measured is not None and measured.projection == about["own"].projection
    return page(
        "duplicates.html",
        found=found,
        find=finding.find(request, db, name, finds),
        calibration=calibration,
        measured=measured if is_own else None,
        thresholds=db.duplicates.thresholds(name),
        is_review=options.is_review,
        **about,
    )
