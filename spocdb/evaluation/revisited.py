"""Revisited Oxford and Paris (Radenovic et al., CVPR 2018): new ground truth, three difficulties.

One pickle, gnd_roxford5k.pkl or gnd_rparis6k.pkl, holds the names of the gallery's images and of
the queries, and each query's box and its easy, hard and junk images. Queries are not in the gallery
and are always cropped.
"""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError
from spocdb.evaluation.benchmark import Benchmark, Query, find_images
from spocdb.images.regular import regular
from spocdb.records import Crop

# The relevant and the ignored kinds of images at each difficulty.
DIFFICULTIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}
OFFICIAL = {"roxford5k": (4993, 70), "rparis6k": (6322, 70)}


def read(folder: Path, ground_truth: Path) -> Benchmark:
    """Read a folder of images and the pickle of their ground truth.

    Raises:
        ConfigError: There are no images, or the file is no ground truth.
    """
    try:
        with open(ground_truth, "rb", opener=regular) as stream:
            truth = _Unpickler(stream).load()
        gallery, query_names, entries = truth["imlist"], truth["qimlist"], truth["gnd"]
        files = find_images(folder)
        variants = {
            difficulty: [
                # A query whose file is missing stays here; `restricted` reports it later.
                _query(name, entry, gallery, files.get(name, folder / f"{name}.jpg"), *kinds)
                for name, entry in zip(query_names, entries, strict=True)
            ]
            for difficulty, kinds in DIFFICULTIES.items()
        }
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read {ground_truth}: {error.strerror or error}") from error
    # A pickle of other content can raise any exception.
    except Exception as error:
        raise ConfigError(
            f"{ground_truth} is no ground truth of revisited Oxford or Paris: "
            "it is the file gnd_roxford5k.pkl or gnd_rparis6k.pkl of its authors"
        ) from error
    images = {name: files[name] for name in gallery if name in files}
    name = ground_truth.stem.removeprefix("gnd_")
    return Benchmark(name, images, variants, ("mAP", "mP@10"), OFFICIAL.get(name))


def _query(
    name: str,
    entry: Mapping[str, Any],
    gallery: list[str],
    path: Path,
    relevant: Iterable[str],
    ignored: Iterable[str],
) -> Query:
    x1, y1, x2, y2 = (float(number) for number in entry["bbx"])
    crop = Crop(round(x1), round(y1), round(x2 - x1), round(y2 - y1))
    return Query(
        name,
        frozenset(gallery[i] for kind in relevant for i in entry[kind]),
        frozenset(gallery[i] for kind in ignored for i in entry[kind]),
        crop,
        path,
    )


class _Unpickler(pickle.Unpickler):
    """Loads only lists, dicts, strings, numbers and NumPy arrays, so that a pickle runs no code."""

    SAFE = frozenset(
        (f"{core}.multiarray", name)
        for core in ("numpy.core", "numpy._core")
        for name in ("_reconstruct", "scalar")
    ) | {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),  # how protocol 2 writes bytes
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.SAFE:
            raise pickle.UnpicklingError(f"{module}.{name} is not data")
        return super().find_class(module, name)
