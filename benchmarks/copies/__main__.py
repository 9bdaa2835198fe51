"""Measure how many changed copies are found, beside imagededup, and what groups join.

From the repository's root:
    python -m benchmarks.copies DIR [--images N] [--originals M] [--seed S]
        [--weights NAME=FILE ...] [--distances D ...] [--only METHOD ...] [--record]
DIR holds photographs that are all different. Changed copies of M of the N are written to a
temporary folder. `--weights` are files of networks for imagededup's CNN: its own,
`mobilenet_v3_small`, or spocdb's; those of installed packages are found. With `--record` each
method's figures replace its earlier ones in a record named by the folder, when it ends, so that an
interrupted run loses only one; then the tables of the documentation are made. `--only` runs some
methods, by the names of the tables.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.copies import measuring, peers, tables
from benchmarks.copies.changes import GROUPED, SETS
from benchmarks.copies.halves import divided, write
from benchmarks.copies.methods import Method
from benchmarks.copies.stored import Spocdb
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation.benchmark import find_images
from spocdb.features.backbones import find
from spocdb.settings import Settings

EXTRACTOR = "mini"
DISTANCES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
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
    parser.add_argument(
        "--distances", type=float, nargs="*", default=DISTANCES, help="up to which groups are made"
    )
    parser.add_argument("--only", nargs="*", metavar="METHOD", help="default: all")
    parser.add_argument("--record", action="store_true", help="record the figures")
    arguments = parser.parse_args()
    weights = {name: Path(file) for name, _, file in (w.partition("=") for w in arguments.weights)}
    photographs = [*find_images(arguments.folder).values()][: arguments.images]
    if not 2 <= arguments.originals <= len(photographs) - 1:
        parser.error(f"--originals is 2 to {len(photographs) - 1}: there are more photographs")
    # On SIGTERM exit normally, so that the server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="spocdb-copies-") as name:
        scratch = Path(name)
        try:
            with connect(settings=Settings(None, scratch, scratch / "cache")) as db:
                figures = list[dict[str, Any]]()
                for told in run(db, scratch, photographs, arguments, packed() | weights):
                    figures += told
                    print(f"{told[0]['set']}: {told[0]['method']}", flush=True)
                    if arguments.record:
                        tables.keep(arguments.folder.resolve().name, told)
        finally:
            embedded.stop(scratch)
    print(tables.pairs(figures), tables.groups(figures), sep="\n")
    if arguments.record:
        tables.main()


def run(
    db: Database,
    scratch: Path,
    photographs: Sequence[Path],
    arguments: argparse.Namespace,
    weights: Mapping[str, Path],
) -> Iterator[list[dict[str, Any]]]:
    """Yield the figures of each set of changes by each method."""
    theirs = [*peers.available(weights)]
    if not theirs:
        print(peers.MISSING, file=sys.stderr)
    ours = [Spocdb(db, EXTRACTOR, is_whitened=whitened) for whitened in (False, True)]
    methods: list[Method] = [*ours, *theirs]
    seed, n_originals = arguments.seed, arguments.originals // 2
    parts = divided(photographs, seed)
    about = {"images": len(photographs), "originals": 2 * n_originals, "seed": seed}
    for which, changes in SETS.items():
        halves = [
            write(scratch / which / str(number), part, n_originals, changes, seed)
            for number, part in enumerate(parts)
        ]
        for method in methods:
            if arguments.only and method.name not in arguments.only:
                continue
            figures = [measuring.pairs(method, halves, [*changes])]
            # Before another projection of the collections is activated.
            if which == GROUPED and isinstance(method, Spocdb):
                figures += measuring.groups(method, halves, arguments.distances)
            yield [about | {"set": which} | figure for figure in figures]


def packed() -> dict[str, Path]:
    """Return the weights of networks that are in installed packages."""
    found = ((name, find(name).packed) for name in PACKED)
    there = ((name, package.find()) for name, package in found if package)
    return {name: file for name, file in there if file}


if __name__ == "__main__":
    main()
