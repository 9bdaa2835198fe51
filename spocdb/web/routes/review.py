"""Groups of near-duplicates as a person reviews them, and in review mode what is kept of them."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from spocdb.errors import ImageNotFound
from spocdb.web.models import Model
from spocdb.web.requests import Collection, Db, Id
from spocdb.web.routes.duplicates import After, DuplicateImage
from spocdb.web.routes.projections import InReview

# Images of a request that stores decisions, together.
MOST_CHOSEN = 1000

router = APIRouter(prefix="/collections/{name}/review", tags=["duplicates"])

Distance = Annotated[
    float | None, Query(ge=0, le=2, description="leave out images farther from their keeper")
]
Limit = Annotated[int, Query(ge=1, le=200, description="how many groups a page")]
Members = Annotated[
    int, Query(ge=2, le=1000, description="how many images of a group, the keeper among them")
]


Of = Annotated[list[Id], Query(min_length=1, max_length=200, description="images; repeatable")]


class ReviewImage(DuplicateImage):
    """An image of a group; `distance` is the cosine distance from the keeper.

    `level` is what it has in common with the keeper; null: nothing that is known.
    `is_kept`: a person chose this content to come first in its group; `is_rejected`: it was
    rejected beside this keeper; `is_same`: it was decided to be the same as the keeper.
    """

    is_kept: bool
    is_rejected: bool
    is_same: bool


class ReviewGroup(Model):
    """A keeper, and its near-duplicates, nearest first: of `n_others` as many as asked for."""

    keeper: ReviewImage
    others: list[ReviewImage]
    n_others: int


class Review(Model):
    """A page of groups, by the ids of their keepers; `next` is the `after` of the next page."""

    collection: str
    groups: list[ReviewGroup]
    next: int | None


class ReviewCount(Model):
    """How much there is to review: `n_images` in `n_groups`, of which `n_rejected` are rejected.

    `distance` and `keep` are how the duplicates were found; null: the same bytes. `n_due` contents
    wait to be compared.
    """

    collection: str
    distance: float | None
    keep: str
    n_groups: int
    n_images: int
    n_rejected: int
    n_due: int


class Kept(Model):
    """An image that is kept, and those that are rejected beside it."""

    id: Id
    rejected: list[Id] = Field(default_factory=list, max_length=MOST_CHOSEN)


class Choices(Model):
    """What a person keeps; with `undo` it is forgotten."""

    kept: list[Kept] = Field(min_length=1, max_length=MOST_CHOSEN)
    undo: bool = False


@router.get("")
def review(
    db: Db,
    name: Collection,
    distance: Distance = None,
    after: After = 0,
    limit: Limit = 50,
    members: Members = 100,
) -> Review:
    """List groups of near-duplicates with what was kept and rejected."""
    groups = db.review.groups(name, distance=distance, after=after, n=limit, members=members)
    return Review(
        collection=name,
        groups=[ReviewGroup.model_validate(group) for group in groups],
        next=groups[-1].keeper.id if len(groups) == limit else None,
    )


@router.get("/count")
def count(db: Db, name: Collection, distance: Distance = None) -> ReviewCount:
    """Count what there is to review; this reads all groups."""
    return ReviewCount.model_validate(db.review.count(name, distance=distance))


@router.get("/groups")
def groups(
    db: Db, name: Collection, of: Of, distance: Distance = None, members: Members = 100
) -> list[ReviewGroup]:
    """List the groups that images are in, each once; images without duplicates have none."""
    found: dict[int, ReviewGroup] = {}
    for id in of:
        if any(id in _ids(group) for group in found.values()):
            continue
        # One that was deleted meanwhile has no group.
        with suppress(ImageNotFound):
            group = db.review.group(id, collection=name, distance=distance, members=members)
            if group is not None:
                found[group.keeper.id] = ReviewGroup.model_validate(group)
    return [*found.values()]


def _ids(group: ReviewGroup) -> set[int]:
    return {image.id for image in (group.keeper, *group.others)}


@router.post("/keep", dependencies=[InReview], status_code=204)
def keep(db: Db, name: Collection, choices: Choices) -> None:
    """Store what a person keeps and rejects, in review mode; no file is changed."""
    wanted: dict[int, list[int]] = {}
    for one in choices.kept:
        wanted.setdefault(one.id, []).extend(one.rejected)
    db.review.keep(wanted, undo=choices.undo, collection=name)
