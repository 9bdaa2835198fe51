"""Measure how many changed copies are found, beside imagededup, and what groups join.

From the repository's root:
    python -m benchmarks.copies DIR [--images N] [--originals M] [--seed S]
        [--weights NAME=FILE ...] [--record]
DIR holds photographs that are all different. Changed copies of M of the N are written to a
temporary folder. `--weights` are files of networks for imagededup's CNN: its own,
`mobilenet_v3_small`, or spocdb's; those of installed packages are found. With `--record` the
figures become a record named by the folder, and the tables of the documentation are made.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.copies import measuring, peers, tables
from benchmarks.copies.changes import GROUPED, SETS
from benchmarks.copies.halves import divided, write
from benchmarks.copies.stored import Spocdb
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.benchmark import find_images
from spocdb.features.backbones import find
from spocdb.settings import Settings

EXTRACTOR = "mini"
# Networks for imagededup's CNN whose weights an installed package may bring.
PACKED = ("efficientnet_lite0",)


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies")
    parser.add_argument("folder", type=Path, metavar="DIR", help="photographs")
    parser.add_argument("--images", type=int, default=1000, help="how many of them")
    parser.add_argument("--originals", type=int, default=150, help="how many are copied")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--record", action="store_true", help="record the figures")
    arguments = parser.parse_args()
    weights = {name: Path(file) for name, _, file in (w.partition("=") for w in arguments.weights)}
    photographs = [*find_images(arguments.folder).values()][: arguments.images]
    if not 2 <= arguments.originals <= len(photographs) - 1:
        parser.error(f"--originals is 2 to {len(photographs) - 1}: there are more photographs")
    with tempfile.TemporaryDirectory(prefix="spocdb-copies-") as name:
        scratch = Path(name)
        try:
            with connect(settings=Settings(None, scratch, scratch / "cache")) as db:
                figures = [*run(db, scratch, photographs, arguments, packed() | weights)]
        finally:
            embedded.stop(scratch)
    print(tables.pairs(figures), tables.groups(figures), sep="\n")
    if arguments.record:
        name = f"{tables.RECORD}-{arguments.folder.resolve().name}"
        print(f"recorded in {record.write(figures, name)}")
        tables.main()


def run(
    db: Database,
    scratch: Path,
    photographs: Sequence[Path],
    arguments: argparse.Namespace,
    weights: Mapping[str, Path],
) -> Iterator[dict[str, Any]]:
    """Yield the figures of all sets of changes."""
    ours = [Spocdb(db, EXTRACTOR, is_whitened=whitened) for whitened in (False, True)]
    theirs = [*peers.available(weights)]
    if not theirs:
        print(peers.MISSING, file=sys.stderr)
    seed, n_originals = arguments.seed, arguments.originals // 2
    parts = divided(photographs, seed)
    about = {"images": len(photographs), "originals": 2 * n_originals, "seed": seed}
    for which, changes in SETS.items():
        halves = [
            write(scratch / which / str(number), part, n_originals, changes, seed)
            for number, part in enumerate(parts)
        ]
        told = about | {"set": which}
        for spocdb in ours:
            yield told | measuring.pairs(spocdb, halves, [*changes])
            # Before the next one changes the collections' projection.
            if which == GROUPED:
                yield from (told | figure for figure in measuring.groups(spocdb, halves))
        for peer in theirs:
            yield told | measuring.pairs(peer, halves, [*changes])


def packed() -> dict[str, Path]:
    """Return the weights of networks that are in installed packages."""
    found = ((name, find(name).packed) for name in PACKED)
    there = ((name, package.find()) for name, package in found if package)
    return {name: file for name, file in there if file}


if __name__ == "__main__":
    main()
