"""Run the benchmarks and print a table; `--record` keeps the figures under benchmarks/results.

From the repository's root: python -m benchmarks [--images FOLDER] [--weights FILE] [--record]
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import ingesting, projecting, record, searching, writing
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import embedded
from spocdb.settings import Settings


def main() -> None:
    """Run every benchmark on an embedded server of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--images", type=Path, help="photographs to ingest; default: made up")
    parser.add_argument("--weights", type=Path, help="real SqueezeNet 1.1 weights, for the cosines")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the search benchmark")
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
                figures += searching.run(db, arguments.rows)
                figures += ingesting.run(db, folder, arguments.images, arguments.weights)
        finally:
            embedded.stop(folder)
    record.show(figures)
    if arguments.record:
        print(f"\nrecorded in {record.keep(figures)}")


if __name__ == "__main__":
    main()
