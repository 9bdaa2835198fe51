"""What becomes of leased rows: stored, tried again, given up, or forgotten.

What a row had is forgotten only when the row is known to hold no image now:

- Its value can never lead to one: it is no URL, or a path out of the root.
- Bytes of the table itself or of a file are whole, so one look decides.
- Bytes of a network may be a server's bad hour. The same ones must come in several tries, the last
  long after the first.

Everything else (not there, cut off, an error page, a lost worker) is tried again, and when it is
given up the embedding of the image before stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spocdb.db.outcomes import Outcome, Retry
from spocdb.db.queue import LeasedRef
from spocdb.errors import (
    ImageError,
    ImageTooLarge,
    ImageVanished,
    ProcessLost,
    RowGone,
    UnreadableImage,
)
from spocdb.pipeline.work import Work
from spocdb.records import NewDescriptor

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


def judged(row: LeasedRef) -> LeasedRef:
    """Return a leased row, with a problem if too many workers were lost while they had it."""
    if row.tries.lost < MOST_LOST:
        return row
    problem = ProcessLost(
        f"{row.tries.lost} workers were lost while they had it: out of memory, a crash of the "
        "decoder, or longer than `visibility=...`"
    )
    return replace(row, problem=problem)


def outcome_of(
    works: Sequence[Work[LeasedRef]], descriptors: Mapping[bytes, NewDescriptor], rules: Rules
) -> Outcome:
    """Return what becomes of the works, by the rules."""
    failures: list[tuple[LeasedRef, ImageError]] = []
    no_images: list[tuple[LeasedRef, ImageError]] = []
    gone: list[LeasedRef] = []
    retried: list[Retry] = []
    bad = ((row, w, w.error) for w in works if w.error for row in w.refs)
    for row, work, error in bad:
        if isinstance(error, RowGone):
            gone.append(row)
            continue
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
        images=[(row, w.sha256) for w in works if not w.error for row in w.refs],
        descriptors=descriptors,
        failures=failures,
        no_images=no_images,
        gone=gone,
        retried=retried,
    )


def _is_believed(row: LeasedRef, sha256: bytes, rules: Rules) -> bool:
    """Tell whether the same bytes came often enough, and long enough after the first time."""
    tries = row.tries
    return (
        tries.rejected == sha256
        and tries.rejections + 1 >= SAME_BYTES
        and tries.rejected_for >= rules.believed_after
    )


def _is_no_image(error: ImageError, work: Work[LeasedRef], rules: Rules) -> bool:
    """Tell whether what the row says now is known to be no image."""
    if isinstance(error, ImageTooLarge):
        # An answer that was cut off at the limit was never seen whole.
        return bool(work.sha256) or not rules.from_network
    return isinstance(error, UnreadableImage)


def _pause(row: LeasedRef, rules: Rules) -> float:
    return float(min(rules.backoff * 2 ** (row.tries.attempts - 1), LONGEST_BACKOFF))
