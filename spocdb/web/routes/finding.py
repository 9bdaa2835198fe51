"""Finding the duplicates of a collection, in review mode, and how near they are."""

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from spocdb.api import Database, DuplicateSummary
from spocdb.web import changes as following
from spocdb.web import problems
from spocdb.web.changes import Change, Changes, Progress
from spocdb.web.models import Model
from spocdb.web.requests import Collection, Db
from spocdb.web.routes import duplicates
from spocdb.web.routes.duplicates import Level
from spocdb.web.routes.projections import InReview

LONGEST_RULE = 1000

# The searches for duplicates of one server.
Finds = Changes[DuplicateSummary]

router = APIRouter(prefix="/collections/{name}/duplicates", tags=["duplicates"])


class Asked(Model):
    """How to look for duplicates; without a distance and a level as the last time.

    `distance` is up to which distance images are duplicates, `level` instead of it what was
    calibrated; `keep` is the keeper rule; `again` compares everything again.
    """

    distance: float | None = Field(None, ge=0, le=2)
    level: Level | None = None
    keep: str | None = Field(None, max_length=LONGEST_RULE)
    again: bool = False


class Find(Model):
    """How a search for duplicates goes: in `step`, `n_done` of `n_due` contents are done.

    `said` is why it failed, or what was told last; `summary` is there when it is done.
    """

    collection: str
    state: Literal["running", "done", "failed"]
    step: Literal["compared", "grouped"] | None
    n_done: int
    n_due: int
    said: str
    began_at: datetime
    ended_at: datetime | None
    summary: duplicates.DuplicateSummary | None


class Thresholds(Model):
    """How near duplicates are by the active projection, as it was calibrated.

    Up to the distance `picture` two images show the same picture, up to `scene` perhaps the same
    scene; the same picture, too, if their signatures differ in at most `bits` bits.
    """

    picture: float
    scene: float
    bits: int | None
    calibrated_at: datetime


async def _finds(request: Request) -> Finds:
    finds: Finds = request.app.state.finds
    return finds


Known = Annotated[Finds, Depends(_finds)]


@router.get("/thresholds")
def thresholds(db: Db, name: Collection) -> Thresholds | None:
    """Return how near duplicates are; null if `spocdb duplicates calibrate` was not run."""
    found = db.duplicates.thresholds(name)
    return None if found is None else Thresholds.model_validate(found)


@router.get("/find")
def find(request: Request, db: Db, name: Collection, finds: Known) -> Find | None:
    """Return the latest search for duplicates that this server was asked for."""
    db.collection(name)
    last = finds.last(name)
    return None if last is None else state_of(request, last)


@router.post("/find", dependencies=[InReview], responses={202: {"model": Find}})
def begin(
    request: Request, response: Response, db: Db, name: Collection, finds: Known, asked: Asked
) -> Find:
    """Find duplicates, in review mode, or those of what is new since the last time.

    What takes longer than a moment is answered with 202, and `GET` tells how it goes. It goes on if
    nobody asks. A server that is stopped ends it: what was compared is stored, and it goes on when
    it is asked for again.
    """
    db.collection(name)
    progress = Progress()

    def action(own: Database) -> DuplicateSummary:
        return own.duplicates.find(
            name,
            **asked.model_dump(),
            on_done=partial(progress.tell, "compared"),
            on_grouped=partial(progress.tell, "grouped"),
        )

    busy = problems.Refusal(
        *(409, "find-running"),
        "this server looks for duplicates already: wait until that is done",
    )
    return state_of(request, following.begun(response, finds, name, action, busy, progress))


def state_of(request: Request, find: Change[DuplicateSummary]) -> Find:
    """Return how a search for duplicates goes."""
    step, n_done, n_due = find.progress.at
    state = Find(
        **following.state_of(request, find),
        step=step or None,  # type: ignore[arg-type]  # as `begin` calls them
        n_done=n_done,
        n_due=n_due,
        summary=None,
    )
    if state.state != "done":
        return state
    summary = duplicates.DuplicateSummary.model_validate(find.result.result())
    return state.model_copy(update={"summary": summary})
