"""Searching, and embeddings for an application that searches in SQL itself."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from spocdb import errors
from spocdb.api import Database, Hit
from spocdb.web import models
from spocdb.web.notes import noted
from spocdb.web.requests import (
    LARGEST_ID,
    PICTURE_BODY,
    Collection,
    Db,
    Ids,
    Options,
    Part,
    Picture,
    Searched,
)

router = APIRouter(prefix="/collections/{name}", tags=["search"])


@router.post("/search", response_model=models.Found, openapi_extra=PICTURE_BODY)
def search(
    db: Db,
    options: Options,
    name: Collection,
    picture: Picture,
    asked: Searched,
    crop: Part,
    like: Ids = [],  # noqa: B006
    unlike: Ids = [],  # noqa: B006
) -> Response:
    """Find the images that look most like a picture, which is the body, or like a part of it.

    `like` and `unlike` are stored images that the hits should and should not look like, too.
    """
    wanted = asked.arguments(options.bounds)
    with noted() as notes:
        hits = db.search(picture, collection=name, crop=crop, like=like, unlike=unlike, **wanted)
    asked.check(len(hits), options.bounds)
    return _found(db, name, hits, notes)


@router.get("/similar", response_model=models.Found)
def similar(
    db: Db,
    options: Options,
    name: Collection,
    asked: Searched,
    id: Annotated[Ids, Query(description="a stored image; repeatable")] = [],  # noqa: B006
    key: Annotated[str | None, Query(description="a row of the attached table")] = None,
    unlike: Ids = [],  # noqa: B006
) -> Response:
    """Find the images that look most like stored ones, and less like those of `unlike`.

    These images are left out of the hits.
    """
    if bool(id) == (key is not None):
        raise errors.ConfigError("give either `id=...` or `key=...`", field="id")
    wanted = asked.arguments(options.bounds)
    own = id if key is None else [db.tables.image_id(key, name)]
    with noted() as notes:
        hits = db.similar(own, collection=name, unlike=unlike, **wanted)
    asked.check(len(hits), options.bounds)
    return _found(db, name, hits, notes)


@router.post("/embed", openapi_extra=PICTURE_BODY)
def embed(
    db: Db,
    name: Collection,
    picture: Picture,
    crop: Part,
    projection: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> models.Embedding:
    """Return the embedding of a picture, which is the body, as the collection's own have it."""
    found = db.embed(picture, collection=name, crop=crop, projection=projection)
    return models.Embedding(collection=name, dim=len(found), embedding=found.tolist())


def _found(db: Database, name: str, hits: list[Hit], notes: list[str]) -> Response:
    """Return the hits with the sizes of their images.

    A response of its own, as FastAPI would check the model and copy it before it is encoded.
    """
    sizes = db.sizes([hit.id for hit in hits])
    found = [models.Hit.model_validate(hit) for hit in hits]
    for hit in found:
        hit.width, hit.height = sizes.get(hit.id, (None, None))
    answer = models.Found(collection=name, hits=found, notes=notes)
    return Response(answer.model_dump_json(), media_type="application/json")
