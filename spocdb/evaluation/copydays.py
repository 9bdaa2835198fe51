"""INRIA Copydays (Douze et al., CIVR 2009): changed copies of 157 photographs.

The photographs are in the folder `original`, 200000.jpg to 215600.jpg. Each other folder, such as
`crops/80`, `jpegqual/3` or `strong`, has changed copies, and is a variant. A copy is a query for
the original whose name has the same first four digits. In a folder without `original` the images
xx00 are the originals and the others their copies.
"""

import re
from collections import defaultdict
from pathlib import Path

from spocdb.errors import ConfigError
from spocdb.evaluation.benchmark import Benchmark, Query
from spocdb.sources.walking import walk

# The largest variant, `strong`, has 229 copies.
OFFICIAL = (157, 229)
ORIGINALS = "original"


def read(folder: Path) -> Benchmark:
    """Read a folder of Copydays' folders, or one folder of originals and copies.

    Raises:
        ConfigError: The folder does not exist, or has no originals with official names.
    """
    top = folder.absolute()
    files = [Path(path) for path in walk([top], recursive=True)]
    named = [file for file in files if re.fullmatch(r"2\d{5}", file.stem)]
    inside = [file for file in named if file.parent.name == ORIGINALS]
    originals = inside or [file for file in named if file.stem.endswith("00")]
    if not originals:
        raise ConfigError(
            f"no originals of Copydays in {folder}: they are named {ORIGINALS}/200000.jpg to "
            f"{ORIGINALS}/215600.jpg"
        )
    images = {file.stem: file for file in originals}
    variants: dict[str, list[Query]] = defaultdict(list)
    for file in sorted({*named} - {*originals}):
        place = file.relative_to(top)
        name = place.with_suffix("").as_posix()
        relevant = frozenset({f"{file.stem[:4]}00"})
        variants[_variant(place)].append(Query(name, relevant, path=file))
    return Benchmark("copydays", images, variants, ("mAP",), OFFICIAL)


def _variant(place: Path) -> str:
    """Return the name of a file's folder, empty for the top."""
    return "" if place.parent == Path() else place.parent.as_posix()
