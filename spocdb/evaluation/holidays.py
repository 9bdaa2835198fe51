"""INRIA Holidays (Jegou, Douze & Schmid, ECCV 2008): 1491 photographs in 500 groups.

A file name consists of the group and the number within it, 100000.jpg to 149902.jpg. Each group's
first image, xx00, is a query and the others are its relevant images. The query is removed from its
own ranking.
"""

from collections import defaultdict
from pathlib import Path

from spocdb.evaluation.benchmark import Benchmark, Query, official_images

OFFICIAL = (1491, 500)


def read(folder: Path) -> Benchmark:
    """Read a folder of Holidays' images.

    Raises:
        ConfigError: The folder does not exist, or no image has an official name.
    """
    images = official_images(folder, r"1[0-4]\d{4}", "Holidays", "100000.jpg to 149902.jpg")
    groups: dict[str, set[str]] = defaultdict(set)
    for name in images:
        groups[name[:4]].add(name)
    queries = [
        Query(f"{group}00", frozenset(names - {f"{group}00"}), frozenset({f"{group}00"}))
        for group, names in sorted(groups.items())
    ]
    return Benchmark("holidays", images, {"": queries}, ("mAP",), OFFICIAL)
