"""The review of near-duplicates in the API: `db.review`."""

from collections.abc import Mapping, Sequence

from spocdb import checks, duplicates
from spocdb.api.duplicates import MOST_IN_SQL, most_members
from spocdb.api.part import Part
from spocdb.db import collections, duplicate_groups
from spocdb.db import duplicate_review as stored
from spocdb.db.duplicate_review import ReviewCount, ReviewGroup


class Review(Part):
    """Groups of near-duplicates as a person reviews them; `db.review`.

    What is kept and what is rejected is stored by content, as decisions are: it holds for all files
    of these bytes in all collections, also after they were moved, ingested again or embedded by
    another projection. No file is changed: `db.duplicates.export(file, rejected=True)` lists what
    was rejected.
    """

    def groups(
        self,
        collection: str | None = None,
        *,
        distance: float | None = None,
        after: int = 0,
        n: int = 100,
        members: int = 100,
    ) -> list[ReviewGroup]:
        """Return a page of groups, by the ids of their keepers.

        Args:
            collection: the name; None if there is only one.
            distance: leave out images farther than this from their keeper; None for none.
            after: begin after the group with this keeper.
            n: how many groups at most.
            members: how many images of a group at most, the keeper among them.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: a number is out of range.
            DuplicatesNotFound: they were not looked for by the active projection.
        """
        after, n = checks.whole("after", after, -checks.MOST), checks.whole("n", n, 1, MOST_IN_SQL)
        distance, most = _distance(distance), most_members(members)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            duplicate_groups.check(connection, target)
            return stored.groups(
                connection, target, distance=distance, after=after, n=n, members=most
            )

    def group(
        self,
        id: int,
        *,
        collection: str | None = None,
        distance: float | None = None,
        members: int = 100,
    ) -> ReviewGroup | None:
        """Return the group that an image is in; None if it is in none.

        Args:
            id: the image.
            collection: the name; None if there is only one.
            distance: leave out images farther than this from their keeper; None for none.
            members: how many images at most, the keeper among them.

        Raises:
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
            ImageNotFound: the collection has no such image.
            InvalidValue: the id is no integer, or a number is out of range.
        """
        image, most = checks.image_id(id), most_members(members)
        distance = _distance(distance)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            duplicate_groups.check(connection, target)
            duplicate_groups.contents(connection, target, [image])
            return stored.group_of(connection, target, image, distance=distance, members=most)

    def count(self, collection: str | None = None, *, distance: float | None = None) -> ReviewCount:
        """Count what there is to review.

        Args:
            collection: the name; None if there is only one.
            distance: leave out images farther than this from their keeper; None for none.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: the distance is out of range.
            DuplicatesNotFound: they were not looked for by the active projection.
        """
        distance = _distance(distance)
        with self._engine.connection() as connection:
            return stored.count(connection, collections.get(connection, collection), distance)

    def keep(
        self,
        choices: Mapping[int, Sequence[int]],
        *,
        undo: bool = False,
        collection: str | None = None,
    ) -> None:
        """Store which images a person keeps, and which are rejected beside each.

        A kept image comes first in its group, before the keeper rule; of several the one that was
        chosen last. A rejected one counts as rejected as long as its group's keeper has the bytes
        of the one that it was rejected beside. Rejecting an image of the keeper's own bytes rejects
        all files of these bytes but the keeper. A keeper never counts as rejected.

        Args:
            choices: images that are rejected, by the image that is kept; maybe none.
            undo: forget these rejections; of an image without any, all that was stored of it.
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: the collection has no image with one of the ids.
            InvalidValue: `choices` are no mapping, or an id is no integer.
            ConfigError: an image is to be rejected beside itself.
            RightMissing: the role may not store decisions.
        """
        if not isinstance(choices, Mapping):
            raise checks.invalid("choices", choices, "a mapping of ids to ids")
        wanted = {
            checks.image_id(kept, "choices"): checks.image_ids(rejected, "choices")
            for kept, rejected in choices.items()
        }
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            duplicates.keep(connection, target, wanted, undo=undo)


def _distance(given: float | None) -> float | None:
    return None if given is None else checks.number("distance", given, 0, 2)
