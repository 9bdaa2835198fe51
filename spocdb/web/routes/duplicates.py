"""Groups of near-duplicates, and in review mode decisions about them."""

from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from spocdb.web.models import Model
from spocdb.web.requests import LARGEST_ID, Collection, Db, ImageId, Limit
from spocdb.web.routes.projections import InReview

router = APIRouter(prefix="/collections/{name}/duplicates", tags=["duplicates"])

Level = Literal["bytes", "picture", "scene"]
Verdict = Literal["same", "different", "keep both"]
After = Annotated[int, Query(ge=0, le=LARGEST_ID, description="`next` of the page before")]
Members = Annotated[
    int, Query(ge=2, le=1000, description="how many images of a group, the keeper among them")
]


class DuplicateImage(Model):
    """An image of a group of near-duplicates; `distance` is the cosine distance from the keeper.

    `level` is what it has in common with the keeper; null: nothing that is known.
    """

    id: int
    path: str
    distance: float
    level: Level | None
    width: int
    height: int
    size: int
    sha256: str


class DuplicateGroup(Model):
    """A keeper, and its near-duplicates, nearest first: of `n_others` as many as asked for."""

    keeper: DuplicateImage
    others: list[DuplicateImage]
    n_others: int


class DuplicateSummary(Model):
    """How many duplicates there are: `n_images` in `n_groups`.

    `distance`, `level` and `keep` are how they were found. Without a distance: the same bytes;
    without a level: by a distance that was given. `n_due` contents wait to be compared.
    """

    distance: float | None
    level: Level | None
    keep: str
    n_groups: int
    n_images: int
    n_due: int


class Duplicates(Model):
    """A page of groups, by the ids of their keepers; `next` is the `after` of the next page.

    `summary` counts all groups, for the first page only.
    """

    collection: str
    summary: DuplicateSummary | None
    groups: list[DuplicateGroup]
    next: int | None


class Decision(Model):
    """What a person decides about two images; null forgets an earlier decision."""

    id: int = Field(ge=1, le=LARGEST_ID)
    other: int = Field(ge=1, le=LARGEST_ID)
    verdict: Verdict | None


@router.get("")
def duplicates(
    db: Db, name: Collection, after: After = 0, limit: Limit = 100, members: Members = 100
) -> Duplicates:
    """List the groups of near-duplicates of a collection that `spocdb duplicates find` found."""
    summary = None if after else DuplicateSummary.model_validate(db.duplicates.summary(name))
    groups = [*islice(db.duplicates.groups(name, after=after, members=members), limit)]
    return Duplicates(
        collection=name,
        summary=summary,
        groups=[DuplicateGroup.model_validate(group) for group in groups],
        next=groups[-1].keeper.id if len(groups) == limit else None,
    )


@router.get("/groups/{id}")
def group(db: Db, name: Collection, id: ImageId, members: Members = 100) -> DuplicateGroup | None:
    """Return the group that an image is in, its keeper or not; null if it is in none."""
    found = db.duplicates.group(id, collection=name, members=members)
    return None if found is None else DuplicateGroup.model_validate(found)


@router.post("/decide", dependencies=[InReview], status_code=204)
def decide(db: Db, name: Collection, decision: Decision) -> None:
    """Store what a person decided about two images, in review mode, and group them by it."""
    db.duplicates.decide(decision.id, decision.other, decision.verdict, collection=name)
