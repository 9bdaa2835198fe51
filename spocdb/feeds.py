"""What a worker reads of one collection: the rows of its table, or images and archives by name.

    leased entry -> its images (one, or those of an archive) -> the pipeline

An archive stays leased while its images are read and written, and ends as a whole. If its worker is
lost, the next one skips what is stored.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from spocdb.db import archives, queue
from spocdb.db.attachments import Attached
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.queue import LeasedRef
from spocdb.db.waiting import Stopped
from spocdb.progress import Progress
from spocdb.records import ImageRef
from spocdb.settings import Limits
from spocdb.sources.archives import archive_of
from spocdb.sources.opening import opened
from spocdb.sources.rows import RowsSource
from spocdb.sources.source import Source, Terms
from spocdb.sources.together import Together
from spocdb.storing import changed
from spocdb.verdicts import REFERENCE_ATTEMPTS, Rules, judged

# Leases of archives are extended after this part of their time.
PART_OF_LEASE = 1 / 3


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to work; times are in seconds.

    A row is leased for `visibility`; without a notification the queue is polled every `poll`. A row
    whose image is missing is retried after `backoff`, which doubles each time. Bytes from a URL
    that are no image are final once the same bytes still come `believed_after` the first time.
    `thumbnails` are stored of the images that are decoded.
    """

    limits: Limits
    visibility: float = 300.0
    poll: float = 5.0
    backoff: float = 5.0
    believed_after: float = 3600.0
    batch_size: int | None = None
    thumbnails: bool = True


@dataclass(frozen=True, slots=True)
class Feed:
    """How a worker reads a collection: its source, the rules of bad images, entries per lease.

    `images_of` yields the images of a leased entry. `keep` is called after each batch, `close` when
    all that was yielded is written.
    """

    source: Source
    rules: Rules
    at_once: int
    images_of: Callable[[LeasedRef], Iterable[LeasedRef]]
    keep: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None


def rows_feed(
    connection: Connection,
    collection: Collection,
    attached: Attached,
    progress: Progress,
    options: WorkerOptions,
) -> Feed:
    """Return the feed of an attached table.

    Few rows are leased at once, because the rows of a dead worker wait until their leases expire,
    and a worker stops sooner. URLs are slow to fetch, and bytes are held in memory together, so
    they get lower numbers than paths.
    """
    limits = options.limits
    most = {"path": limits.ahead, "url": 2 * limits.threads, "bytes": min(limits.ahead, 16)}
    at_once = most[attached.kind]

    def images_of(entry: LeasedRef) -> Iterable[LeasedRef]:
        progress.n_seen += 1
        return (entry,)

    source = RowsSource(connection, collection, attached, limits, at_once)
    rules = Rules(attached.kind == "url", options.backoff, options.believed_after)
    return Feed(source, rules, at_once, images_of)


def references_feed(
    connection: Connection,
    collection: Collection,
    terms: Terms,
    progress: Progress,
    options: WorkerOptions,
    is_stopped: Stopped,
) -> Feed:
    """Return the feed of references; archives stay leased while they are read."""
    entries = _Opened(
        *(connection, collection, opened((), terms), progress, options.visibility, is_stopped)
    )
    rules = Rules(False, options.backoff, 0.0, REFERENCE_ATTEMPTS, of_rows=False)
    at_once = options.limits.ahead
    return Feed(entries.source, rules, at_once, entries.images_of, entries.keep, entries.close)


@dataclass(slots=True)
class _Opened:
    """The leased entries that were opened: archives, and names whose version is unknown."""

    connection: Connection
    collection: Collection
    source: Together
    progress: Progress
    seconds: float
    is_stopped: Stopped
    # Their leases by key, and the keys of those whose images were all yielded.
    held: dict[str, UUID] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    extended: float = field(default_factory=time.monotonic)

    def images_of(self, entry: LeasedRef) -> Iterator[LeasedRef]:
        """Yield the images of an entry, without those that are stored, while it is held."""
        if entry.problem or (entry.version and archive_of(entry.name) != entry.name):
            self.progress.n_seen += 1
            yield entry
            return
        self.held[entry.name] = entry.lease
        found = self.source.named([entry.name])
        wanted = changed(
            *(self.connection, self.collection, self._while_held(entry, found), self.progress),
            retry_failed=False,
        )
        for ref in self._while_held(entry, wanted):
            yield _part(entry, ref)
        if not self._is_over(entry):
            self.listed.add(entry.name)

    def keep(self) -> None:
        """Extend the leases of opened entries before they expire."""
        if time.monotonic() > self.extended + PART_OF_LEASE * self.seconds:
            held = queue.extend(self.connection, self.collection, self.held, self.seconds)
            self.held = {key: lease for key, lease in self.held.items() if key in held}
            self.extended = time.monotonic()

    def close(self) -> None:
        """End the entries that are done, and leave the others to other workers."""
        done = {key: lease for key, lease in self.held.items() if key in self.listed}
        rest = {key: lease for key, lease in self.held.items() if key not in self.listed}
        archives.note(self.connection, self.collection, self.source.whole)
        queue.end(self.connection, self.collection, done)
        queue.leave(self.connection, self.collection, rest)

    def _while_held(self, entry: LeasedRef, refs: Iterable[ImageRef]) -> Iterator[ImageRef]:
        for ref in refs:
            self.keep()
            if self._is_over(entry):
                return
            yield ref

    def _is_over(self, entry: LeasedRef) -> bool:
        """Return whether the entry is left to others: for good, as are a stop and a lost lease."""
        return self.is_stopped() or entry.name not in self.held


def judged_images(feed: Feed, entries: Iterable[LeasedRef]) -> Iterator[LeasedRef]:
    """Yield the images of leased entries; an entry that lost too many workers has a problem."""
    for entry in map(judged, entries):
        yield from feed.images_of(entry)


def _part(entry: LeasedRef, ref: ImageRef) -> LeasedRef:
    """Return an image of an opened entry."""
    return LeasedRef(
        *(ref.name, ref.version, ref.size, ref.metadata, ref.sha256, ref.problem),
        lease=entry.lease,
        tries=entry.tries,
        part_of=entry.name,
    )
