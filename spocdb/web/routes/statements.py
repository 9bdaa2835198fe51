"""The SQL of what the other routes answer, which gives the same rows in any PostgreSQL client."""

from typing import Annotated

from fastapi import APIRouter, Query

from spocdb.web import models
from spocdb.web.requests import (
    PICTURE_BODY,
    Collection,
    Conditions,
    Db,
    Ids,
    Part,
    Picture,
)

router = APIRouter(prefix="/collections/{name}/sql", tags=["sql"])

K = Annotated[int, Query(ge=1, le=1_000_000, description="how many rows")]


@router.get("")
def listing_sql(
    db: Db,
    name: Collection,
    filter: Conditions,
    id: Ids = [],  # noqa: B006
    unlike: Ids = [],  # noqa: B006
    k: K = 100,
) -> models.Statement:
    """Return the SQL of the newest images, or with `id` of those that look like stored ones."""
    if not id:
        return models.Statement(sql=db.sql.newest(filter, collection=name, limit=k))
    found = db.sql.similar(id, k, collection=name, filter=filter, unlike=unlike)
    return models.Statement(sql=found)


@router.post("", openapi_extra=PICTURE_BODY)
def search_sql(
    db: Db,
    name: Collection,
    picture: Picture,
    filter: Conditions,
    crop: Part,
    like: Ids = [],  # noqa: B006
    unlike: Ids = [],  # noqa: B006
    k: K = 100,
) -> models.Statement:
    """Return the SQL of the images that look like a picture, which is the body."""
    query = db.embed(picture, collection=name, crop=crop)
    marks = {"like": like, "unlike": unlike}
    return models.Statement(sql=db.sql.search(query, k, collection=name, filter=filter, **marks))
