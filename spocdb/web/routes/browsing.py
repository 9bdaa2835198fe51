"""Looking through a collection: its images, newest first, and the values of their metadata."""

from typing import Annotated

from fastapi import APIRouter, Query

from spocdb.api import Database
from spocdb.filters import Filter
from spocdb.web import models
from spocdb.web.notes import noted
from spocdb.web.requests import LARGEST_ID, Collection, Conditions, Db, Limit

router = APIRouter(prefix="/collections/{name}", tags=["collections"])

Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")]


@router.get("/images")
def images(
    db: Db, name: Collection, filter: Conditions, before: Before = None, limit: Limit = 100
) -> models.Page:
    """List the images of a collection, newest first."""
    # Counted once: it takes as long as the page itself, or longer.
    n_images, notes = counted(db, name, filter) if before is None else (None, [])
    return listed(db, name, filter, before, limit, n_images, notes)


def counted(db: Database, name: str, filter: Filter) -> tuple[int, list[str]]:
    """Count the images that match, and return notes about a filter that finds nothing."""
    with noted() as notes:
        return db.count(filter, collection=name), notes


def listed(
    db: Database,
    name: str,
    filter: Filter,
    before: int | None,
    limit: int,
    n_images: int | None,
    notes: list[str],
) -> models.Page:
    """Return a page of images."""
    found = db.newest(filter, collection=name, before=before, limit=limit)
    return models.Page(
        collection=name,
        images=[models.Listed.model_validate(one) for one in found],
        next=found[-1].id if len(found) == limit else None,
        n_images=n_images,
        notes=notes,
    )


@router.get("/facets")
def facets(db: Db, name: Collection, filter: Conditions) -> models.Facets:
    """Count the values of each key of the metadata, over the images that match."""
    return models.Facets.model_validate(db.facets(filter, collection=name))
