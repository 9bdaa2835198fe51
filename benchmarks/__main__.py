"""Run the benchmarks and print a table; `--record` keeps the figures under benchmarks/results.

From the repository's root: python -m benchmarks [--images FOLDER] [--weights FILE] [--record]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import ingesting, projecting, record, searching, writing
from benchmarks.data import make_descriptors
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import embedded
from spocdb.records import Float32Array
from spocdb.settings import Settings

N_SEARCHED = 100_000


def main() -> None:
    """Run every benchmark on an embedded server of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--images", type=Path, help="photographs to ingest; default: made up")
    parser.add_argument("--weights", type=Path, help="real SqueezeNet 1.1 weights, for the cosines")
    parser.add_argument(
        "--descriptors", type=Path, help="what to search in, see benchmarks.crops; default: made up"
    )
    parser.add_argument("--record", action="store_true", help="keep the figures")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="spocdb-bench-") as name:
        folder = Path(name)
        settings = Settings(None, folder, folder / "cache")
        try:
            with Database(settings) as db:
                figures += writing.run(db)
                figures += projecting.run(db)
                figures += searching.run(db, *_descriptors(arguments.descriptors))
                figures += ingesting.run(db, folder, arguments.images, arguments.weights)
        finally:
            embedded.stop(folder)
    record.show(figures)
    if arguments.record:
        print(f"\nrecorded in {record.keep(figures)}")


def _descriptors(file: Path | None) -> tuple[Float32Array, str]:
    if file is None:
        return make_descriptors(N_SEARCHED), "made up"
    return np.load(file)[:N_SEARCHED].astype(np.float32), "crops of photographs"


if __name__ == "__main__":
    main()
