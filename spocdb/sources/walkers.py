"""Find members of an archive by name, mostly in its own order."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock

from spocdb.errors import ImageError, ImageVanished
from spocdb.sources import kinds
from spocdb.sources.csv_files import MOST_CHARACTERS
from spocdb.sources.digests import Names
from spocdb.sources.members import Archive, Member
from spocdb.sources.samples import BESIDE, Sample, key_of, samples

Found = tuple[Member, Sample]

MISSING = ImageVanished("the archive has no such member any more")

# Members of one archive that a walker remembers, at about 500 bytes each, and archives kept open.
MOST_KEPT, MOST_OPEN = 20_000, 2
# Seconds after which an archive that could not be read is tried again: a storage may be back.
TRIED_AFTER = 60.0


class Walker:
    """Walks through an archive once if its names are asked for in order; used by one thread."""

    def __init__(self, archive: Archive, max_bytes: int) -> None:
        self.archive, self._max_bytes = archive, max_bytes
        # Held members would stay in memory.
        self._most_kept = 0 if archive.is_in_order else MOST_KEPT
        self._kept: dict[str, Found] = {}
        # All names up to the end, or up to the damage, and the error of any other name.
        self._all: Names | None = None
        self._error: ImageError = MISSING
        self._failed = 0.0
        self._begin()

    def find(self, name: str) -> Found:
        """Return the first member of this name, and its sample.

        A member that was passed and not kept is looked for again from the beginning. The archive is
        not walked for a name that it is known not to have.

        Raises:
            ImageVanished: There is none.
            ImageError: The archive is damaged before it.
        """
        if kept := self._kept.get(name):
            return kept
        if self._is_to_be_tried():
            self._begin()
            self._all, self._error = None, MISSING
        if name in self._passed:
            self._begin()
        if self._all is None or name in self._all:
            try:
                for found in self._coming:
                    self._pass(found)
                    if found[0].name == name:
                        return found
            except ImageError as error:
                self._error, self._failed = error, time.monotonic()
            self._all = self._passed
        raise self._error.with_traceback(None)

    def _is_to_be_tried(self) -> bool:
        """Return whether the walk ended because the file could not be read, a while ago."""
        is_over = isinstance(self._error, ImageVanished) and self._error is not MISSING
        return is_over and time.monotonic() > self._failed + TRIED_AFTER

    def _begin(self) -> None:
        self._passed, self._coming = Names(), _walk(self.archive, self._max_bytes)

    def _pass(self, found: Found) -> None:
        name = found[0].name
        self._passed.add(name)
        if len(self._kept) < self._most_kept:
            self._kept.setdefault(name, found)


class Shelf:
    """The walkers of the archives that were used last. Threads may share it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._walkers: OrderedDict[str, Walker] = OrderedDict()

    def find(
        self, path: str, version: str, name: str, open_archive: Callable[[str], Archive]
    ) -> tuple[Archive, Found]:
        """Return a member of an archive of this version, and the archive.

        Raises:
            ImageError: It cannot be found.
        """
        with self._lock:
            walker = self._walkers.pop(path, None)
            if walker is None or walker.archive.version != version:
                walker = Walker(open_archive(path), self._max_bytes)
            self._walkers[path] = walker
            if len(self._walkers) > MOST_OPEN:
                self._walkers.popitem(last=False)
            return walker.archive, walker.find(name)


# No methods: a generator that refers to its walker would keep the file open until the next
# collection of garbage.
def _walk(archive: Archive, max_bytes: int) -> Iterator[Found]:
    for sample in samples(archive.members(partial(_held, max_bytes)), max_bytes):
        for member in sample.members:
            if kinds.is_image(member.name):
                yield member, sample


def _held(max_bytes: int, name: str) -> int:
    if kinds.is_image(name):
        return max_bytes
    return MOST_CHARACTERS if key_of(name)[1] in BESIDE else 0
