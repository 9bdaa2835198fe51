"""Units of work: what an actor of a cluster stores in one call, images or an archive."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from spocdb.pipeline.chunks import chunks
from spocdb.records import ImageRef
from spocdb.sources.archives import archive_of

# Images of a unit: seconds of work, so that the end of a unit and a lost node cost little.
IMAGES_A_UNIT = 128
# Lost processes after which a unit's images are decoded apart from their actor, and after which the
# unit is given up.
LOST_UNTIL_APART, MOST_LOST = 2, 5


@dataclass(frozen=True, slots=True)
class Unit:
    """Images that are new or changed, or the name of an archive that its actor opens.

    `n_lost` processes were lost while they had it.
    """

    refs: Sequence[ImageRef] = ()
    archive: str = ""
    n_lost: int = 0

    def __str__(self) -> str:
        return self.archive or self.refs[0].name


def units_of(
    refs: Iterable[ImageRef], wanted: Callable[[Iterable[ImageRef]], Iterator[ImageRef]]
) -> Iterator[Unit]:
    """Yield the archives of a listing, and in hundreds those of its images that are `wanted`."""
    for is_whole, some in groupby(refs, _is_archive):
        if is_whole:
            yield from (Unit(archive=ref.name) for ref in some)
        else:
            yield from (Unit(chunk) for chunk in chunks(wanted(some), IMAGES_A_UNIT))


def _is_archive(ref: ImageRef) -> bool:
    return not ref.problem and archive_of(ref.name) == ref.name
