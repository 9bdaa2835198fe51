"""Oxford and Paris buildings (Philbin et al., CVPR 2007 and 2008): 55 queries with a box each.

The ground truth is a folder of text files. NAME_query.txt has the image and the box; NAME_good.txt,
NAME_ok.txt and NAME_junk.txt list images. Good and ok images are relevant, junk is ignored. The
query is the box ("crop") or the whole image ("full"); the SPoC paper reports both.
"""

from dataclasses import replace
from pathlib import Path

from spocdb.errors import ConfigError
from spocdb.evaluation.benchmark import Benchmark, Query, find_images
from spocdb.images.regular import read_bytes
from spocdb.records import Crop

# Official numbers of images and queries; the keys are query names that identify the data sets.
OFFICIAL = {"all_souls_1": (5063, 55), "defense_1": (6392, 55)}


def read(folder: Path, ground_truth: Path) -> Benchmark:
    """Read a folder of images and the folder of their ground truth.

    Raises:
        ConfigError: There are no images, or the ground truth is missing or malformed.
    """
    names = sorted(f.name.removesuffix("_query.txt") for f in ground_truth.glob("*_query.txt"))
    if not names:
        raise ConfigError(
            f"no ground truth in {ground_truth}: it holds files such as all_souls_1_query.txt, "
            "all_souls_1_good.txt, all_souls_1_ok.txt and all_souls_1_junk.txt"
        )
    cropped = [_query(ground_truth, name) for name in names]
    whole = [replace(query, crop=None) for query in cropped]
    name = "paris" if "defense_1" in names else "oxford"
    return Benchmark(
        name,
        find_images(folder),
        {"crop": cropped, "full": whole},
        ("mAP",),
        OFFICIAL.get("defense_1" if name == "paris" else "all_souls_1"),
    )


def _query(folder: Path, name: str) -> Query:
    file = folder / f"{name}_query.txt"
    try:
        image, *box = read_bytes(file).decode().split()
        x1, y1, x2, y2 = (float(number) for number in box)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is not `IMAGE X1 Y1 X2 Y2`: get it again") from error
    listed = {kind: _names(folder / f"{name}_{kind}.txt") for kind in ("good", "ok", "junk")}
    return Query(
        # Oxford's query files add a prefix to the image names.
        image.removeprefix("oxc1_"),
        listed["good"] | listed["ok"],
        listed["junk"],
        Crop(round(x1), round(y1), round(x2 - x1), round(y2 - y1)),
    )


def _names(file: Path) -> frozenset[str]:
    try:
        return frozenset(read_bytes(file).decode().split())
    except OSError as error:
        raise ConfigError(
            f"the ground truth is incomplete: cannot read {file} ({error.strerror})"
        ) from error
