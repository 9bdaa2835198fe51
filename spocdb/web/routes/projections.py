"""The projections of a collection, and in review mode which of them is active."""

import functools
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from spocdb.api import Database, ProjectionVersion
from spocdb.errors import ProjectionNotFound
from spocdb.web import changes as following
from spocdb.web import models, problems
from spocdb.web.changes import Change, Changes
from spocdb.web.requests import LARGEST_ID, Collection, Db, Options, is_shown

router = APIRouter(prefix="/collections/{name}", tags=["projections"])

Number = Annotated[int, Path(ge=1, le=LARGEST_ID, description="a projection's number")]


async def _review(options: Options) -> None:
    if not options.is_review:
        raise problems.Refusal(
            *(403, "read-only"),
            "this server changes nothing: whoever runs it can start it in review mode",
        )


async def _changes(request: Request) -> Changes[int]:
    changes: Changes[int] = request.app.state.changes
    return changes


InReview = Depends(_review)
Known = Annotated[Changes[int], Depends(_changes)]
Expected = Annotated[
    int, Query(ge=1, le=LARGEST_ID, description="the previous projection, as the client knows it")
]


@router.get("/projections")
def projections(db: Db, options: Options, name: Collection) -> list[models.Projection]:
    """List the projections that embed a collection or could, oldest first."""
    shown = functools.partial(is_shown, options)
    found = [_version(one, shown) for one in db.pca.versions(name)]
    return [one for one in found if one is not None]


@router.get("/change")
def change(request: Request, db: Db, name: Collection, changes: Known) -> models.Change | None:
    """Return the latest change of the active projection that this server was asked for."""
    db.collection(name)
    last = changes.last(name)
    return None if last is None else state_of(request, last)


@router.post(
    "/projections/{number}/activate",
    dependencies=[InReview],
    responses={202: {"model": models.Change}},
)
def activate(
    request: Request,
    response: Response,
    db: Db,
    options: Options,
    name: Collection,
    number: Number,
    changes: Known,
) -> models.Change:
    """Activate a projection, in review mode; its embeddings and index are built first if needed.

    What takes longer than a moment is answered with 202, and `change` tells how it goes.
    """
    if all(one.number != number for one in projections(db, options, name)):
        raise ProjectionNotFound(f"there is no projection {number} to search {name} by")
    return _activated(request, response, changes, name, number)


@router.post("/rollback", dependencies=[InReview], responses={202: {"model": models.Change}})
def rollback(
    request: Request,
    response: Response,
    db: Db,
    options: Options,
    name: Collection,
    changes: Known,
    to: Expected,
) -> models.Change:
    """Activate the previous projection, in review mode; refused if that is another one by now."""
    previous = next((v.number for v in projections(db, options, name) if v.is_previous), None)
    if previous is None:
        raise ProjectionNotFound(f"{name} has no projection to go back to")
    if previous != to:
        raise problems.Refusal(
            *(409, "previous-changed"),
            f"the previous projection of {name} is {previous} by now, not {to}: look again",
        )
    return _activated(request, response, changes, name, to)


def _activated(
    request: Request, response: Response, changes: Changes[int], name: str, number: int
) -> models.Change:
    def action(own: Database) -> int:
        own.pca.activate(number, name)
        return number

    busy = problems.Refusal(
        *(409, "change-running"),
        "another projection is being activated: wait until that is done",
    )
    return state_of(request, following.begun(response, changes, name, action, busy))


def state_of(request: Request, change: Change[int]) -> models.Change:
    """Return how a change goes."""
    state = models.Change(**following.state_of(request, change))
    if state.state != "done":
        return state
    return state.model_copy(update={"projection": change.result.result()})


def _version(
    version: ProjectionVersion, is_shown: Callable[[str], bool]
) -> models.Projection | None:
    """Return a version, None if it tells of collections that this server does not show."""
    found = models.Projection.model_validate(version)
    names = [one for one in found.fitted_on if is_shown(one)]
    if not version.is_kept and names != found.fitted_on:
        return None
    return found.model_copy(update={"fitted_on": names})
