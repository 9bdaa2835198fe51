"""Decisions about near-duplicates in the API: stored, and shown."""

from collections.abc import Iterable

from spocdb import checks, duplicates
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.db import duplicate_decisions as stored
from spocdb.db.duplicate_decisions import Decision, Verdict


class Deciding(Part):
    """Methods of `db.duplicates` about what persons decide."""

    def decide(
        self, id: int, other: int, verdict: Verdict | None, *, collection: str | None = None
    ) -> None:
        """Store what a person decided about two images, and group them by it.

        A decision is about the contents: it holds for all images of these bytes in all collections,
        also after they were moved, ingested again or embedded by another projection.

        Args:
            id: an image.
            other: another one.
            verdict: same: in one group at any distance; different, or keep both: never in one
                group; None forgets an earlier decision.
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: the collection has no image with one of the ids.
            ConfigError: both images have the same bytes, or there is no such verdict.
            InvalidValue: an id is no integer.
            RightMissing: the role may not store decisions.
        """
        pair = checks.image_id(id), checks.image_id(other, "other")
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            duplicates.decide(connection, target, pair, verdict)

    def decisions(self, collection: str | None = None) -> list[Decision]:
        """List the decisions about images of a collection, the oldest first.

        Args:
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            return stored.decisions(connection, collections.get(connection, collection))

    def verdicts(
        self, pairs: Iterable[tuple[int, int]], *, collection: str | None = None
    ) -> dict[tuple[int, int], Verdict | None]:
        """Return what was decided about pairs of images, such as the nearest of a calibration.

        Args:
            pairs: the ids of two images each.
            collection: the name; None if there is only one.

        Returns:
            The verdicts by pair, None where nobody decided; without pairs of which an image is
            gone.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: a pair is not two integers.
            ImageNotFound: an id has more than 64 bits.
        """
        wanted = [_pair(pair) for pair in checks.several(pairs)]
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return stored.verdicts(connection, target, wanted)


def _pair(given: tuple[int, int]) -> tuple[int, int]:
    ids = checks.image_ids(given, "pairs")
    if len(ids) != 2:
        raise checks.invalid("pairs", given, "pairs of two ids")
    return ids[0], ids[1]
