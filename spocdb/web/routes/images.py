"""Stored images by their id: what is known about them, and their pixels."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from spocdb.api import Content, ImageDetails
from spocdb.errors import ImageNotFound
from spocdb.web import models
from spocdb.web.options import ServerOptions
from spocdb.web.requests import Db, ImageId, Options, is_shown

router = APIRouter(prefix="/images/{id}", tags=["images"])

WEBP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}}
}
Image = TypeVar("Image", ImageDetails, Content)
# The address of an image stays, its bytes may change: ask each time, and answer 304.
FRESH = "private, no-cache"


@router.get("")
def image(db: Db, options: Options, id: ImageId) -> models.Image:
    """Return all that is known about an image."""
    return models.Image.model_validate(_shown(options, db.image(id)))


@router.get("/thumbnail", response_class=Response, responses=WEBP)
def thumbnail(db: Db, options: Options, request: Request, id: ImageId) -> Response:
    """Return an image within 256 x 256 pixels, as WebP."""
    found = _shown(options, db.content(id))
    return _unless_known(request, found.sha256, lambda: db.thumbnail(found).data)


@router.get("/picture", response_class=Response, responses=WEBP)
def picture(
    db: Db,
    options: Options,
    request: Request,
    id: ImageId,
    side: Annotated[int, Query(ge=16, description="at most this many pixels a side")] = 1024,
) -> Response:
    """Return an image within `side` x `side` pixels, re-encoded as WebP."""
    found = _shown(options, db.content(id))
    side = min(side, options.bounds.side)
    return _unless_known(request, f"{found.sha256}-{side}", lambda: db.picture(found, side))


def _shown(options: ServerOptions, image: Image) -> Image:
    if not is_shown(options, image.collection):
        # As of an image that does not exist: the collection's name would tell that it does.
        raise ImageNotFound(f"there is no image {image.id}: see `db.images()`")
    return image


def _unless_known(request: Request, tag: str, made: Callable[[], bytes]) -> Response:
    """Answer 304 to a client that has this version, else make the picture."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": FRESH}
    if f'"{tag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(made(), media_type="image/webp", headers=headers)
