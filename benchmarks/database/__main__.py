"""The database at a million images, on an embedded server of its own.

From the repository's root: python -m benchmarks.database [--rows 1000000] [--record]

What is measured is kept in the folder after each step, so that an hour's run may be interrupted:
with the same `--folder` it goes on, `--steps` says with what.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks import record
from benchmarks.database import N_ROWS, STEPS, gallery
from benchmarks.record import Figure
from spocdb.api import Database
from spocdb.db import embedded
from spocdb.settings import Settings


def main() -> None:
    """Run the steps, print a table, and keep the figures if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database")
    parser.add_argument("--rows", type=int, default=N_ROWS)
    parser.add_argument("--folder", type=Path, help="kept, with the server; default: a new one")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--record", action="store_true", help="keep the figures")
    arguments = parser.parse_args()
    folder = arguments.folder or _new_folder()
    kept = folder / "figures.json"
    try:
        figures = _measure(folder, kept, arguments.rows, arguments.steps)
    finally:
        embedded.stop(folder)
        if arguments.folder is None:
            shutil.rmtree(folder)
    if arguments.record:
        file = record.opened(anew=False)
        record.keep(file, "database", figures)
        print(f"\nrecorded in {file}")


def _new_folder() -> Path:
    # As root the embedded server lives below /var/lib, or a folder that is open to everybody.
    parent = "/var/lib" if os.geteuid() == 0 else None
    return Path(tempfile.mkdtemp(prefix="spocdb-bench-", dir=parent))


def _measure(folder: Path, kept: Path, n_rows: int, steps: list[str]) -> list[Figure]:
    done = json.loads(kept.read_text()) if kept.exists() else {}
    with Database(Settings(None, folder, folder / "cache")) as db:
        target = gallery.open(db, "growing", n_rows)
        for step in steps:
            figures = STEPS[step](target)
            record.show(figures)
            done[step] = [record.as_dict(figure) for figure in figures]
            kept.write_text(json.dumps(done))
    return [record.as_figure(figure) for step in STEPS for figure in done.get(step, [])]


if __name__ == "__main__":
    main()
