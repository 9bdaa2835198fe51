"""Collections, their failures and their coverage."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from spocdb.web import models
from spocdb.web.requests import Collection, Db, Limit, Options, is_shown
from spocdb.web.sharing import Shared

router = APIRouter(prefix="/collections", tags=["collections"])

After = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]


@router.get("")
def collections(db: Db, options: Options) -> list[models.Collection]:
    """List the collections that this server shows."""
    return [
        models.Collection.model_validate(one)
        for one in db.collections()
        if is_shown(options, one.name)
    ]


@router.get("/{name}/failures")
def failures(db: Db, name: Collection, after: After = None, limit: Limit = 100) -> models.Failures:
    """List the images of a collection that could not be stored, and why."""
    found = [models.Failure.model_validate(f) for f in db.failures(name, after=after, limit=limit)]
    following = found[-1].path if len(found) == limit else None
    return models.Failures(collection=name, failures=found, next=following)


@router.get("/{name}/coverage")
async def coverage(request: Request, db: Db, name: Collection) -> list[models.Coverage]:
    """Count the embedded images of a collection, by projection; all who poll share a count."""

    async def counted() -> list[models.Coverage]:
        found = await run_in_threadpool(db.tables.coverage, name)
        return [models.Coverage.model_validate(one) for one in found]

    shared: Shared[list[models.Coverage]] = request.app.state.coverage
    return await shared.get(name, counted)
