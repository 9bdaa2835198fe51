"""UKBench (Nister & Stewenius, CVPR 2006): 2550 objects with four consecutive photographs each.

Every image is a query. Its score is the number of its object's photographs, itself included, among
the first four results.
"""

from pathlib import Path

from spocdb.evaluation.benchmark import Benchmark, Query, official_images

OFFICIAL = (10200, 10200)
GROUP = 4


def read(folder: Path) -> Benchmark:
    """Read a folder of UKBench's images.

    Raises:
        ConfigError: The folder does not exist, or no image has an official name.
    """
    names = "ukbench00000.jpg to ukbench10199.jpg"
    images = official_images(folder, r"ukbench\d{5}", "UKBench", names)
    queries = [Query(name, _object(name)) for name in sorted(images)]
    return Benchmark("ukbench", images, {"": queries}, ("4 x recall@4",), OFFICIAL)


def _object(name: str) -> frozenset[str]:
    first = int(name[-5:]) // GROUP * GROUP
    return frozenset(f"ukbench{number:05}" for number in range(first, first + GROUP))
