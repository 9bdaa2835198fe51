"""The map of a collection: what is known about it, and where its images are."""

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from spocdb.api import CollectionMap
from spocdb.web import models
from spocdb.web.requests import LARGEST_ID, Collection, Db

router = APIRouter(prefix="/collections/{name}/map", tags=["map"])

Projection = Annotated[
    int | None, Query(ge=1, le=LARGEST_ID, description="that it was made by; the active one")
]
# Of a larger map a sample is sent: 16 MB, which each answer holds until it is sent.
MOST_POINTS = 1_000_000
POINTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "16 bytes for each of n images, little-endian: n ids (int64, ascending), "
        "n times x, n times y (float32); of a larger map a sample of at most "
        f"{MOST_POINTS:,} images",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "the positions that `If-None-Match` names are still the same"},
}


@router.get("")
def about(db: Db, name: Collection, projection: Projection = None) -> models.Map:
    """Return how the map of a collection was made, and how many images came after it."""
    return told(db.describe_map(name, projection=projection))


def told(found: CollectionMap) -> models.Map:
    """Return what a client is told about a map."""
    n_shown = min(found.n_placed, MOST_POINTS)
    return models.Map.model_validate({**dataclasses.asdict(found), "n_shown": n_shown})


@router.get("/points", response_class=Response, responses=POINTS)
def points(db: Db, name: Collection, request: Request, projection: Projection = None) -> Response:
    """Return where images are on the map of a collection, as numbers in binary."""
    # It is read before the points: if these change in between, the client asks for them again.
    tag = f'"{db.map_version(name, projection=projection)}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    found = db.map_points(name, projection=projection, most=MOST_POINTS)
    columns = (found.ids.astype("<i8", copy=False), *found.positions.T.astype("<f4", copy=False))
    # One after the other: joined they would be in memory twice.
    return StreamingResponse(
        (column.view("u1").data for column in columns),
        media_type="application/octet-stream",
        headers=headers | {"Content-Length": str(sum(column.nbytes for column in columns))},
    )
