"""The map of a collection: what is known about it, and where its images are."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from spocdb.api import CollectionMap
from spocdb.web import models
from spocdb.web.requests import LARGEST_ID, Collection, Db

router = APIRouter(prefix="/collections/{name}/map", tags=["map"])

Projection = Annotated[
    int | None, Query(ge=1, le=LARGEST_ID, description="that it was made by; the active one")
]
POINTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "16 bytes for each of n images, little-endian: n ids (int64, ascending), "
        "n times x, n times y (float32)",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "the positions that `If-None-Match` names are still the same"},
}


@router.get("")
def about(db: Db, name: Collection, projection: Projection = None) -> models.Map:
    """Return how the map of a collection was made, and how many images came after it."""
    return models.Map.model_validate(db.describe_map(name, projection=projection))


@router.get("/points", response_class=Response, responses=POINTS)
def points(db: Db, name: Collection, request: Request, projection: Projection = None) -> Response:
    """Return where images are on the map of a collection, as numbers in binary."""
    known = _tag(db.describe_map(name, projection=projection))
    if known in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=_headers(known))
    found = db.map_points(name, projection=projection)
    ids, positions = found.ids.astype("<i8"), found.positions.T.astype("<f4")
    return Response(
        ids.tobytes() + positions.tobytes(),
        media_type="application/octet-stream",
        headers=_headers(_tag(found.map)),
    )


def _tag(found: CollectionMap) -> str:
    # A map made again has another id. Of one map images only go, so their number tells which do.
    return f'"{found.id}-{found.made_at.timestamp()}-{found.n_placed}"'


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "private, no-cache"}
