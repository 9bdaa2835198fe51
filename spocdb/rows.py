"""Rows of attached tables: from what they say to an image's bytes, and what becomes of them.

What a row had is forgotten only when the row is known to hold no image now:

- Its value can never lead to one: it is no URL, or a path out of the root.
- Bytes of the table itself or of a file are whole, so one look decides.
- Bytes of a network may be a server's bad hour. The same ones must come in several tries, the last
  long after the first.

Everything else (not there, cut off, an error page, a lost worker) is tried again, and when it is
given up the embedding of the image before stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from spocdb.db.attachments import Source, SourceRow
from spocdb.db.outcomes import Outcome, Retry
from spocdb.db.queue import LeasedRow
from spocdb.db.writing import NewDescriptor
from spocdb.errors import ImageError, ImageTooLarge, ImageVanished, ProcessLost, UnreadableImage
from spocdb.pipeline.prefetch import Work, read_work
from spocdb.sources.locations import read_below
from spocdb.sources.urls import fetch

# Tries of an image that may come yet, each twice as long after the one before, an hour at most:
# together two hours and a half.
MOST_ATTEMPTS, LONGEST_BACKOFF = 12, 3600.0
# Workers lost with a row until it is given up; from the third on it was all that they had.
MOST_LOST = 5
# Tries that must give the same bytes before a network is believed that they are no image.
SAME_BYTES = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """When a row is tried again and when it is given up; times in seconds.

    A row whose image is not there is due again after `backoff`, and twice as long every time. Bytes
    `from_network` that are no image are believed `believed_after` they first came.
    """

    from_network: bool
    backoff: float
    believed_after: float


def read_row(source: Source, row: SourceRow, max_bytes: int) -> bytes:
    """Return the bytes of a row's image. Raises ImageError."""
    if row.size > max_bytes:
        raise ImageTooLarge(
            f"{row.size} bytes are over the limit of {max_bytes}: raise SPOCDB_MAX_BYTES",
            field="max_bytes",
            bound=max_bytes,
        )
    if row.content is not None:
        return row.content
    if row.location is None:
        # The row changed after it was chosen, or a type of the application's casts to NULL.
        raise ImageVanished("the row has no image any more")
    if source.root is not None:
        return read_below(source.root, row.location, max_bytes)
    return fetch(row.location, max_bytes, allow_private=source.allow_private)


def read_leased(
    source: Source, leased: tuple[LeasedRow, SourceRow | ImageError], max_bytes: int
) -> Work:
    """Read the image of a leased row into a work, or the reason why not."""
    row, found = leased
    if isinstance(found, ImageError):
        return Work([row], error=found)
    work = read_work(row, lambda: read_row(source, found, max_bytes))
    work.files = [replace(row, size=len(work.data))]
    return work


def size_of(leased: tuple[LeasedRow, SourceRow | ImageError]) -> int:
    """Return the bytes that the image of a leased row has in its table; 0 where it is elsewhere."""
    return leased[1].size if isinstance(leased[1], SourceRow) else 0


def lost(row: LeasedRow) -> ProcessLost | None:
    """Return why a row is given up unread: too many workers were lost while they had it."""
    if row.tries.lost < MOST_LOST:
        return None
    return ProcessLost(
        f"{row.tries.lost} workers were lost while they had it: out of memory, a crash of the "
        "decoder, or longer than `visibility=...`"
    )


def outcome_of(
    works: Sequence[Work], descriptors: Mapping[bytes, NewDescriptor], rules: Rules
) -> Outcome:
    """Return what becomes of the works, by the rules."""
    failures: list[tuple[LeasedRow, ImageError]] = []
    no_images: list[tuple[LeasedRow, ImageError]] = []
    retried: list[Retry] = []
    for row, work, error in _bad(works):
        rejected = work.sha256 if rules.from_network and work.sha256 else None
        if rejected and not _is_believed(row, rejected, rules):
            error = ImageVanished(f"no whole image came: {error}")
        if isinstance(error, ImageVanished) and row.tries.attempts < MOST_ATTEMPTS:
            retried.append(Retry(row, _pause(row, rules), rejected))
        elif _is_no_image(error, work, rules):
            no_images.append((row, error))
        else:
            failures.append((row, error))
    return Outcome(
        images=[(cast(LeasedRow, f), w.sha256) for w in works if not w.error for f in w.files],
        descriptors=descriptors,
        failures=failures,
        no_images=no_images,
        retried=retried,
    )


def _bad(works: Sequence[Work]) -> Iterator[tuple[LeasedRow, Work, ImageError]]:
    for work in works:
        if work.error:
            for file in work.files:
                yield cast(LeasedRow, file), work, work.error


def _is_believed(row: LeasedRow, sha256: bytes, rules: Rules) -> bool:
    """Tell whether the same bytes came often enough, and long enough after the first time."""
    tries = row.tries
    return (
        tries.rejected == sha256
        and tries.rejections + 1 >= SAME_BYTES
        and tries.rejected_for >= rules.believed_after
    )


def _is_no_image(error: ImageError, work: Work, rules: Rules) -> bool:
    """Tell whether what the row says now is known to be no image."""
    if isinstance(error, ImageTooLarge):
        # An answer that was cut off at the limit was never seen whole.
        return bool(work.sha256) or not rules.from_network
    return isinstance(error, UnreadableImage)


def _pause(row: LeasedRow, rules: Rules) -> float:
    return float(min(rules.backoff * 2 ** (row.tries.attempts - 1), LONGEST_BACKOFF))
