"""The outcome of leased rows: stored, retried, given up, or removed.

A row's stored image is removed only when the row certainly holds no image now:

- Its value can never lead to one: it is no URL, or a path outside the root. - Bytes from the table
itself or from a file are complete, so one try decides. - Bytes from a network may be a temporary
error page. The same bytes must come in several tries, the last long after the first.

All other failures (missing, cut off, an error page, a lost worker) are retried. When such a row is
given up, its previous embedding stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from socket import gethostname

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
from spocdb.records import ImageRef, NewDescriptor
from spocdb.sources.buckets import is_missing, is_object
from spocdb.sources.names import is_uri

# Tries of a missing image. The back-off doubles up to an hour, about two and a half hours in all.
MOST_ATTEMPTS, LONGEST_BACKOFF = 12, 3600.0
# Tries of a reference: it was there when it was listed, and other workers may see it.
REFERENCE_ATTEMPTS = 3
# Workers that may die while they hold a row before it is given up; the later ones held it alone.
MOST_LOST = 5
# Tries from a network that must give the same bytes before they count as no image.
SAME_BYTES = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """When a row is retried and when it is given up; times in seconds.

    A row whose image is missing is retried after `backoff`, which doubles each time, until it was
    tried `most_attempts` times. Bytes `from_network` that are no image are final `believed_after`
    they first came. With `of_rows` a row's metadata are its image's, and an image whose row holds
    none any more is removed; an image that was put into the queue by name keeps both.
    """

    from_network: bool
    backoff: float
    believed_after: float
    most_attempts: int = MOST_ATTEMPTS
    of_rows: bool = True


def judged(row: LeasedRef) -> LeasedRef:
    """Return a leased row, with a problem if too many workers died while they held it."""
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
    """Return the outcome of the works under the rules."""
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
        if isinstance(error, ImageVanished) and _is_retried(row, rules):
            retried.append(Retry(row, _pause(row, rules), rejected))
        elif rules.of_rows and _is_no_image(error, work, rules):
            no_images.append((row, error))
        else:
            failures.append((row, error if rules.of_rows else told_here(row, error, "worker")))
    return Outcome(
        images=[(row, w.sha256) for w in works if not w.error for row in w.refs],
        descriptors=descriptors,
        failures=failures,
        no_images=no_images,
        gone=gone,
        retried=retried,
        with_metadata=rules.of_rows,
    )


def _is_retried(row: LeasedRef, rules: Rules) -> bool:
    """Return whether a missing image is tried again: an image of an archive is not, the archive is.

    Archives are read as a whole again when they are put into the queue again.
    """
    return row.entry == row.name and row.tries.attempts < rules.most_attempts


def told_here(ref: ImageRef, error: ImageError, who: str) -> ImageError:
    """Return an error that another machine may not have with the one that has it.

    Such are the errors of missing local files, and of storages that do not let it read.
    """
    if not isinstance(error, ImageVanished):
        return error
    if is_object(ref.name) and not is_missing(error):
        return ImageVanished(f"{error} (by the {who} on {gethostname()}, with its own credentials)")
    if is_uri(ref.name):
        return error
    return ImageVanished(
        f"{error} (by the {who} on {gethostname()}: {who}s need it under the same path)"
    )


def _is_believed(row: LeasedRef, sha256: bytes, rules: Rules) -> bool:
    """Return whether the same bytes came often enough, over a long enough time."""
    tries = row.tries
    return (
        tries.rejected == sha256
        and tries.rejections + 1 >= SAME_BYTES
        and tries.rejected_for >= rules.believed_after
    )


def _is_no_image(error: ImageError, work: Work[LeasedRef], rules: Rules) -> bool:
    """Return whether the row's current value certainly leads to no image."""
    if isinstance(error, ImageTooLarge):
        # An answer that was cut off at the limit was not read completely.
        return bool(work.sha256) or not rules.from_network
    return isinstance(error, UnreadableImage)


def _pause(row: LeasedRef, rules: Rules) -> float:
    return float(min(rules.backoff * 2 ** (row.tries.attempts - 1), LONGEST_BACKOFF))
