"""Listings that pass over archives of which all is stored, and note what they list to its end."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spocdb.db import archives
from spocdb.db.archives import Stored
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.progress import Progress
from spocdb.records import ImageRef
from spocdb.sources import kinds
from spocdb.sources.archives import NAME_IN_IMAGE
from spocdb.sources.source import Given

# Images until what was listed meanwhile is noted: a killed run repeats little.
NOTED_AFTER = 512


@dataclass(slots=True)
class Listing:
    """What of a source's archives is stored in a collection, None if it has to be made.

    With `retry_failed` archives with failures are opened, and with `exif` those with images that
    lack EXIF.
    """

    connection: Connection
    collection: Collection | None
    progress: Progress
    retry_failed: bool = False
    exif: bool = False
    _stored: dict[str, Stored] | None = field(default=None, init=False)

    def knows(self, archive: ImageRef) -> bool:
        """Return whether all images of an archive are stored in this version; count them then."""
        found = self._all().get(archive.name)
        if found is None or found.contents.version != archive.version:
            return False
        left_out = found.contents.left_out
        # A format that was no image then may be one now, by a package.
        if any(kinds.is_image(f"image{suffix}") for suffix in left_out):
            return False
        if self.retry_failed and found.n_failed:
            return False
        self.progress.n_seen += found.contents.n_images
        self.progress.n_unchanged += found.contents.n_images - found.n_failed
        self.progress.n_failed += found.n_failed
        self.progress.left_out.update(left_out)
        return True

    def _all(self) -> dict[str, Stored]:
        if self._stored is None:
            self._stored = {}
            if self.collection:
                self._stored = archives.stored(
                    *(self.connection, self.collection, NAME_IN_IMAGE), exif=self.exif
                )
        return self._stored


def noted(
    connection: Connection, collection: Collection, source: Given, refs: Iterable[ImageRef]
) -> Iterator[ImageRef]:
    """Yield the images of a source, and note the containers that were listed to their end."""
    n_noted = 0
    for n, ref in enumerate(refs, 1):
        yield ref
        if n % NOTED_AFTER == 0:
            whole = source.whole[n_noted:]
            archives.note(connection, collection, whole)
            n_noted += len(whole)
    archives.note(connection, collection, source.whole[n_noted:])
