"""Rows of attached tables: from what they say to an image's bytes, and what becomes of them."""

from dataclasses import replace
from typing import cast

from spocdb.db.batches import NewDescriptor
from spocdb.db.queue import LeasedRow, Outcome
from spocdb.db.sources import Source, SourceRow
from spocdb.errors import ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.images.fetching import fetch
from spocdb.images.locations import read_below
from spocdb.intake import Work, read_work

# Tries of an image that may come yet, each twice as long after the one before, an hour at most:
# together two hours and a half.
MOST_ATTEMPTS, LONGEST_BACKOFF = 12, 3600.0


def read_row(source: Source, row: SourceRow, max_bytes: int) -> bytes:
    """Return the bytes of a row's image. Raises ImageError."""
    if row.content is not None:
        if len(row.content) > max_bytes:
            raise ImageTooLarge(f"over the limit of {max_bytes} bytes: raise SPOCDB_MAX_PIXELS")
        return row.content
    assert row.location is not None, "a row has an image or says where it is"
    if source.root is not None:
        return read_below(source.root, row.location, max_bytes)
    return fetch(row.location, max_bytes, allow_private=source.allow_private)


def read_leased(source: Source, max_bytes: int, leased: tuple[LeasedRow, SourceRow]) -> Work:
    """Read the image of a leased row into a work, or the reason why not."""
    row, found = leased
    if row.attempts > MOST_ATTEMPTS:
        error = UnreadableImage(f"{MOST_ATTEMPTS} workers were lost while they had it")
        return Work([row], error=error)
    work = read_work(row, lambda: read_row(source, found, max_bytes))
    work.files = [replace(row, size=len(work.data))]
    return work


def outcome_of(
    works: list[Work], descriptors: dict[bytes, NewDescriptor], backoff: float
) -> Outcome:
    """Return what becomes of the works: what may come yet is tried again, later each time."""
    rows = [(cast(LeasedRow, file), work) for work in works for file in work.files]
    failed = [(row, work.error) for row, work in rows if work.error]
    retried = [
        row
        for row, error in failed
        if isinstance(error, ImageVanished) and row.attempts < MOST_ATTEMPTS
    ]
    return Outcome(
        images=[(row, work.sha256) for row, work in rows if not work.error],
        descriptors=descriptors,
        failures=[(row, error) for row, error in failed if row not in retried],
        retried=[(row, min(backoff * 2 ** (row.attempts - 1), LONGEST_BACKOFF)) for row in retried],
    )
