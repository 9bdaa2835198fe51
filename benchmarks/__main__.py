"""Run the benchmarks and print a table; `--record` writes the figures to benchmarks/results.

From the repository's root:
    python -m benchmarks [PART...] [--quick] [--record] [--images FOLDER] [--weights FILE]
Each part's figures are printed and recorded when it ends. `python -m benchmarks.table` makes the
documentation's tables from the record.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from benchmarks import (
    database,
    grid,
    ingesting,
    layouts,
    limits,
    memory,
    numerics,
    record,
    serving,
    starting,
)
from benchmarks.database import gallery
from benchmarks.database.gallery import Step
from benchmarks.record import Figure
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.settings import Settings


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the parts' work."""

    n_rows: int
    n_fitted: int
    n_remembered: tuple[int, int]
    seconds_a_stage: float
    n_ingested: int
    n_served: int
    n_started: tuple[int, int]


FULL = Sizes(database.N_ROWS, 20_000, (1000, 50_000), 8.0, 64, 100_000, (7, 10_000))
QUICK = Sizes(10_000, 5000, (500, 3000), 1.0, 8, 5000, (3, 500))


@dataclass(frozen=True, slots=True)
class Run:
    """The arguments of a part: a database, a folder, sizes, and real data if given."""

    db: Database
    folder: Path
    sizes: Sizes
    images: Path | None
    weights: Path | None


def _database(step: Step) -> Callable[[Run], list[Figure]]:
    def run(given: Run) -> list[Figure]:
        with given.db.engine.connection() as connection:
            return step(gallery.open(given.db, connection, "growing", given.sizes.n_rows))

    return run


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


PARTS: Mapping[str, Callable[[Run], list[Figure]]] = {
    "limits": lambda r: limits.run(r.db, r.folder, r.sizes.seconds_a_stage),
    "numerics": lambda r: numerics.run(r.sizes.n_fitted),
    "starting": lambda r: starting.run(
        starting.variables(r.folder), _made(r.folder / "starting"), *r.sizes.n_started
    ),
    "ingesting": lambda r: ingesting.run(r.db, r.folder, r.images, r.weights, r.sizes.n_ingested),
    "layouts": lambda r: layouts.run("mini", MINI, r.sizes.seconds_a_stage),
    "memory": lambda r: memory.run(r.folder, *r.sizes.n_remembered),
    "serving": lambda r: serving.run(r.db, r.folder, r.sizes.n_served, r.sizes.seconds_a_stage),
    "grid": lambda r: grid.run(r.db, r.sizes.n_served),
    **{f"database-{name}": _database(step) for name, step in database.STEPS.items()},
}


def main() -> None:
    """Run the parts, each on a new embedded server; those of `database` share one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--quick", action="store_true", help="less of everything: four minutes")
    parser.add_argument("--images", type=Path, help="photographs to ingest; default: generated")
    parser.add_argument("--weights", type=Path, help="real SqueezeNet 1.1 weights, for the cosines")
    parser.add_argument("--record", action="store_true", help="record the figures")
    arguments = parser.parse_args()
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    if arguments.quick and arguments.record:
        parser.error("a quick look is no record: leave out --quick or --record")
    # On SIGTERM exit normally, so that the server is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = QUICK if arguments.quick else FULL
    parts = arguments.parts or [*PARTS]
    # Said now, and not after a quarter of an hour.
    if "grid" in parts and not grid.program():
        parser.error("grid needs a browser: apt-get install chromium, or name the other parts")
    # A run of all parts starts a new record; of some, it replaces theirs in the newest one.
    kept = record.opened(anew=parts == [*PARTS]) if arguments.record else None
    with tempfile.TemporaryDirectory(prefix="spocdb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the server runs as another user
        for home, together in groupby(parts, _home):
            with _served(folder / home) as (db, own):
                run(Run(db, own, sizes, arguments.images, arguments.weights), together, kept)


def _home(part: str) -> str:
    """Return the folder of a part's server: a part meets no rows but those of its own kind."""
    return "database" if part.startswith("database-") else part


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Database, Path]]:
    """Yield a database of a new server, which is stopped at the end, and its folder."""
    folder.mkdir(exist_ok=True)
    try:
        embedded.upgraded(folder)  # run as the role that owns the schema
        # The superuser, as one step creates a database with the extension.
        settings = Settings(embedded.admin_url(folder), folder, folder / "cache")
        with connect(settings=settings) as db:
            yield db, folder
    finally:
        embedded.stop(folder)


def run(given: Run, parts: Iterable[str], kept: Path | None) -> None:
    """Run parts in order; record each one's figures, so that a later failure loses none."""
    for part in parts:
        began = time.perf_counter()
        figures = PARTS[part](given)
        print(f"\n{part}, {time.perf_counter() - began:.0f} s")
        record.report(part, figures, kept)


if __name__ == "__main__":
    main()
