"""Collections, their failures and their coverage."""

from fastapi import APIRouter

from spocdb.web import models
from spocdb.web.requests import Collection, Db, Options, is_shown

router = APIRouter(prefix="/collections", tags=["collections"])


@router.get("")
def collections(db: Db, options: Options) -> list[models.Collection]:
    """List the collections that this server shows."""
    return [
        models.Collection.model_validate(one)
        for one in db.collections()
        if is_shown(options, one.name)
    ]


@router.get("/{name}/failures")
def failures(db: Db, name: Collection) -> list[models.Failure]:
    """List the images of a collection that could not be stored, and why."""
    return [models.Failure.model_validate(one) for one in db.failures(name)]


@router.get("/{name}/coverage")
def coverage(db: Db, name: Collection) -> list[models.Coverage]:
    """Count the embedded images of a collection, by projection."""
    return [models.Coverage.model_validate(one) for one in db.tables.coverage(name)]
