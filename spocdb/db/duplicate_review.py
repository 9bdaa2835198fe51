"""Groups of duplicates as a person reviews them: what is kept, and what is rejected beside it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import groupby

from psycopg.rows import TupleRow

from spocdb.db import duplicate_groups
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.db.duplicate_groups import DUE, DuplicateGroup, DuplicateImage


@dataclass(frozen=True, slots=True)
class ReviewImage(DuplicateImage):
    """An image of a group under review.

    `is_kept`: a person chose this content to come first in its group. `is_rejected`: it was
    rejected beside the present keeper. `is_same`: it was decided to be the same as the keeper.
    """

    is_kept: bool
    is_rejected: bool
    is_same: bool


@dataclass(frozen=True, slots=True)
class ReviewGroup:
    """A keeper and its duplicates, nearest first; `n_others` counts those that are left out too."""

    keeper: ReviewImage
    others: list[ReviewImage]
    n_others: int


@dataclass(frozen=True, slots=True)
class ReviewCount:
    """How much there is to review up to a distance.

    `n_images` are in `n_groups`, `n_rejected` of them were rejected; `n_due` contents have to be
    compared or grouped. `distance` and `keep` are how the duplicates were found.
    """

    collection: str
    distance: float | None
    keep: str
    n_groups: int
    n_images: int
    n_rejected: int
    n_due: int


GROUPS = """
SELECT r.keeper_id, r.n_members, i.id, i.path, r.distance, r.level, i.width, i.height, i.size,
       encode(i.sha256, 'hex') AS sha256, r.is_kept, r.is_rejected, r.is_same
FROM spocdb.duplicate_review(%(collection)s, %(distance)s, %(after)s, %(n)s, %(members)s) r
JOIN spocdb.images i ON i.id = r.image_id
ORDER BY r.keeper_id, r.image_id <> r.keeper_id, r.distance, r.image_id
"""

COUNT = f"""
SELECT count(*) FILTER (WHERE r.image_id = r.keeper_id), count(*),
       count(*) FILTER (WHERE r.is_rejected),
       {DUE}
FROM spocdb.duplicate_review(%(name)s, %(distance)s) r
"""

# Chosen again, it comes before what was chosen meanwhile.
KEEP = """
INSERT INTO spocdb.duplicate_choices (kept, rejected) VALUES (%s, %s)
ON CONFLICT (kept, rejected) DO UPDATE
SET decided_at = excluded.decided_at, decided_by = current_user
"""

FORGET = "DELETE FROM spocdb.duplicate_choices WHERE kept = %s AND rejected = %s"

FORGET_ALL = "DELETE FROM spocdb.duplicate_choices WHERE kept = %s"

# Of `duplicate_choices.rejected`: no other content, the kept one was chosen.
NOTHING = b""


def groups(
    connection: Connection,
    collection: Collection,
    *,
    distance: float | None = None,
    after: int = 0,
    n: int | None = None,
    members: int | None = None,
) -> list[ReviewGroup]:
    """Return up to n groups by their keepers' ids after `after`; None: all of them.

    Only images up to `distance` from their keeper count, and up to `members` of a group are
    returned, the keeper among them.
    """
    values = {
        "collection": collection.name,
        "distance": distance,
        "after": after,
        "n": n,
        "members": members,
    }
    rows = connection.execute(GROUPS, values).fetchall()
    return [_group([*found]) for _, found in groupby(rows, key=lambda row: row[0])]


def _group(rows: list[TupleRow]) -> ReviewGroup:
    keeper, *others = (ReviewImage(*row[2:]) for row in rows)
    return ReviewGroup(keeper, others, rows[0][1] - 1)


def group_of(
    connection: Connection,
    collection: Collection,
    id: int,
    *,
    distance: float | None = None,
    members: int | None = None,
) -> ReviewGroup | None:
    """Return the group that an image is in; None if nothing is as near to its keeper as that."""
    values = [collection.id, collection.active_projection_id, id]
    row = connection.execute(duplicate_groups.KEEPER, values).fetchone()
    if row is None:
        return None
    found = groups(
        connection, collection, distance=distance, after=row[0] - 1, n=1, members=members
    )
    return found[0] if found and found[0].keeper.id == row[0] else None


def count(
    connection: Connection, collection: Collection, distance: float | None = None
) -> ReviewCount:
    """Count what there is to review.

    Raises:
        DuplicatesNotFound: duplicates were not looked for.
    """
    search = duplicate_groups.check(connection, collection)
    values = {
        "collection": collection.id,
        "projection": collection.active_projection_id,
        "name": collection.name,
        "distance": distance,
    }
    counts = one_row(connection, COUNT, values)
    return ReviewCount(collection.name, search["distance"], search["keep"], *counts)


def rejected(connection: Connection, collection: Collection) -> Iterator[DuplicateGroup]:
    """Yield groups with the images that were rejected beside their keepers, and no others."""
    after = 0
    while page := groups(connection, collection, after=after, n=duplicate_groups.PAGE):
        for group in page:
            if others := [_plain(image) for image in group.others if image.is_rejected]:
                yield DuplicateGroup(_plain(group.keeper), others, n_others=len(others))
        after = page[-1].keeper.id


def _plain(image: ReviewImage) -> DuplicateImage:
    return DuplicateImage(**{own.name: getattr(image, own.name) for own in fields(DuplicateImage)})


def keep(connection: Connection, choices: Mapping[bytes, Iterable[bytes]]) -> None:
    """Store contents that are kept, and those that are rejected beside each."""
    for kept, others in choices.items():
        for other in (NOTHING, *others):
            connection.execute(KEEP, [kept, other])


def forget(connection: Connection, choices: Mapping[bytes, Iterable[bytes]]) -> None:
    """Forget rejections beside contents; without any, all that was stored of a kept one."""
    for kept, others in choices.items():
        if not (found := [*others]):
            connection.execute(FORGET_ALL, [kept])
        for other in found:
            connection.execute(FORGET, [kept, other])
