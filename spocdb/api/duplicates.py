"""Near-duplicates in the API: `db.duplicates`."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence

from spocdb import checks, duplicate_lists, duplicate_metadata, duplicates, outfiles
from spocdb.api.calibrating import Calibrating
from spocdb.api.deciding import Deciding
from spocdb.db import attachments, collections
from spocdb.db import duplicate_groups as stored
from spocdb.db import duplicate_review as reviewed
from spocdb.db.collections import Collection
from spocdb.db.duplicate_groups import DuplicateGroup, DuplicatesAsked, DuplicateSummary
from spocdb.db.duplicate_metadata import MetadataOffer
from spocdb.errors import ConfigError
from spocdb.records import Level
from spocdb.wording import counted

log = logging.getLogger(__name__)

# The largest integer that SQL functions take for a number of groups or members.
MOST_IN_SQL = 2**31 - 1


class Duplicates(Calibrating, Deciding):
    """Near-duplicates of a collection by its active projection; `db.duplicates`.

    A group has a keeper, which comes first by the keeper rule. Every other image of it is within
    the distance of the keeper, or was decided to be the same. No two keepers are within the
    distance of each other, unless their groups have images that were decided to be different.
    """

    def find(
        self,
        collection: str | None = None,
        *,
        distance: float | None = None,
        level: Level | None = None,
        keep: str | None = None,
        again: bool = False,
        on_done: Callable[[int, int], None] = lambda done, due: None,
        on_grouped: Callable[[int, int], None] = lambda done, due: None,
    ) -> DuplicateSummary:
        """Find the duplicates of a collection, or those of what is new since the last time.

        From then on ingests and workers find the duplicates of what they add. Interrupted, it goes
        on where it was. Images with a decision are grouped by it, see `decide`.

        Args:
            collection: the name; None if there is only one.
            distance: images up to this cosine distance from each other are duplicates, 0 to 2. None
                for what the collection was asked for the last time; at first, only images of the
                same bytes are duplicates.
            level: instead of a distance: "bytes", the same file; "picture", saved again, resized,
                cropped a little, brighter, with a mark; "scene", what is as near as a burst. Its
                distances are those that `calibrate` measured for the active projection.
            keep: the keeper rule, such as "folder:/originals, pixels, bytes, oldest"; see
                docs/how-to/duplicates.md. None for the last one.
            again: compare everything again. Changed names, dates and metadata do not need it:
                they are noted, and their images are grouped again.
            on_done: called after each batch, with the numbers of contents that are compared and
                that were due.
            on_grouped: called after each batch that follows, with the numbers of contents that are
                grouped and that had to be. Decisions about these may add others.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: the distance is out of range, or so large that it joins everything.
            ConfigError: the rule has an unknown term; both a distance and a level are given; there
                is no such level, or the collection is not calibrated.
            RightMissing: the role may not store groups.
        """
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            told = on_done, on_grouped
            duplicates.find(connection, target, distance, keep, *told, level=level, again=again)
            unsigned = duplicates.unsigned(connection, target)
        # No connection is held while files are read.
        signed = self._sign(unsigned)
        with self._engine.connection() as connection:
            if signed:
                duplicates.signed(connection, target, signed)
            return stored.summary(connection, target)

    def asked(self, collection: str | None = None) -> DuplicatesAsked:
        """Return how duplicates are found, and how many contents wait; no group is counted.

        Args:
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
        """
        with self._engine.connection() as connection:
            return stored.asked(connection, collections.get(connection, collection))

    def summary(self, collection: str | None = None) -> DuplicateSummary:
        """Count the duplicates that were found.

        Args:
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
        """
        with self._engine.connection() as connection:
            return stored.summary(connection, collections.get(connection, collection))

    def groups(
        self, collection: str | None = None, *, after: int = 0, members: int | None = None
    ) -> Iterator[DuplicateGroup]:
        """Iterate over the groups, by the ids of their keepers; a page is in memory.

        Args:
            collection: the name; None if there is only one.
            after: begin after the group with this keeper.
            members: of each group at most so many images, the keeper among them; None for all.

        Raises:
            InvalidValue: `members` is less than 2, or `after` is no id.
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
        """
        most, last = most_members(members), checks.whole("after", after, -checks.MOST)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            stored.check(connection, target)
        while True:
            with self._engine.connection() as connection:
                page = stored.groups(connection, target, last, members=most)
            yield from page
            if len(page) < stored.PAGE:
                return
            last = page[-1].keeper.id

    def group(
        self, id: int, *, collection: str | None = None, members: int | None = None
    ) -> DuplicateGroup | None:
        """Return the group that an image is in; None if it is in none.

        Args:
            id: the image.
            collection: the name; None if there is only one.
            members: at most so many images, the keeper among them; None for all.

        Raises:
            InvalidValue: `members` is less than 2, or the id is no integer.
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
            ImageNotFound: the collection has no such image.
        """
        image, most = checks.image_id(id), most_members(members)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            stored.check(connection, target)
            stored.contents(connection, target, [image])
            return stored.group_of(connection, target, image, most)

    def take_over(
        self,
        collection: str | None = None,
        *,
        keys: Sequence[str] = (),
        dry_run: bool = False,
    ) -> list[MetadataOffer]:
        """Give keepers the metadata that they lack and their duplicates have, of the nearest first.

        Nothing is overwritten. What was taken over stays when an ingest with a metadata file
        replaces the rest, unless the file says something else under that key. Width, height and
        orientation belong to each file and stay where they are.

        Args:
            collection: the name; None if there is only one.
            keys: of the metadata, on the outermost level; by default all.
            dry_run: change nothing.

        Returns:
            Each value of a duplicate that its keeper took over, or would have; and those that stay
            where they are, because the keeper has another value.

        Raises:
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
            ConfigError: the metadata are columns of an attached table.
            RightMissing: the role may not change images.
        """
        wanted = checks.texts("keys", keys)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return duplicate_metadata.take_over(connection, target, wanted, dry_run=dry_run)

    def export(
        self,
        file: str | os.PathLike[str],
        *,
        move_to: str | os.PathLike[str] | None = None,
        link: bool = False,
        rejected: bool = False,
        collection: str | None = None,
    ) -> int:
        """Write the groups to a file: .csv, .jsonl, or a shell script .sh.

        No image is changed; a file that exists is replaced once the new one is complete. The script
        shows what it would do, and does it with the argument `run`: it moves the duplicates, or
        replaces those of the keeper's bytes by hard links to the keeper.

        Args:
            file: where to write.
            move_to: of a script: the folder that takes the duplicates, below it their whole paths.
            link: of a script: make hard links.
            rejected: only the duplicates that a person rejected, see `db.review`.
            collection: the name; None if there is only one.

        Returns:
            The number of duplicates in the file, without keepers.

        Raises:
            CollectionNotFound: there is no such collection.
            DuplicatesNotFound: they were not looked for by the active projection.
            ConfigError: the name has another suffix, the file cannot be written, what a script
                should do is not clear, or the images are rows of a table, which a script cannot
                move.
        """
        path = checks.file("file", file)
        folder = None if move_to is None else checks.file("move_to", move_to).resolve()
        write = duplicate_lists.writer(path, folder, link=link)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            if path.suffix.lower() == ".sh" and attachments.find(connection, target):
                raise ConfigError(
                    f"collection {target.name} comes from a table, so its rows cannot be moved by "
                    f"a script: write {path.with_suffix('.csv').name}"
                )
            if n_due := stored.summary(connection, target).n_due:
                log.warning(
                    "%s not compared since they changed: run `db.duplicates.find(%s)` first",
                    *(counted(n_due, "image was", "images were"), repr(target.name)),
                )
        groups = self._rejected(target) if rejected else self.groups(target.name)
        with outfiles.replaced(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as out:
            return write(out, groups)

    def _rejected(self, collection: Collection) -> Iterator[DuplicateGroup]:
        with self._engine.connection() as connection:
            yield from reviewed.rejected(connection, collection)


def most_members(members: int | None) -> int | None:
    """Return how many images of a group to show. Raises InvalidValue if it is less than 2."""
    bound = "2 or more, or None"
    return None if members is None else checks.whole("members", members, 2, MOST_IN_SQL, bound)
