"""The database at a million images, on a new embedded server.

From the repository's root: python -m benchmarks.database [--rows 1000000] [--record]

Each step's figures are recorded when it ends, so that an hour's run may be interrupted. A run with
the same `--folder` continues, with the steps of `--steps`.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks import record
from benchmarks.database import N_ROWS, STEPS, gallery
from spocdb.api import connect
from spocdb.db import embedded, schema
from spocdb.settings import Settings


def main() -> None:
    """Run the steps, print a table, and record the figures on request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database")
    parser.add_argument("--rows", type=int, default=N_ROWS)
    parser.add_argument(
        "--folder", type=Path, help="the server's data, kept; default: a temporary folder"
    )
    parser.add_argument(
        "--url", help="a superuser's URL of an empty database, such as one with pgvectorscale"
    )
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--record", action="store_true", help="record the figures")
    arguments = parser.parse_args()
    if arguments.record and arguments.rows != N_ROWS:
        parser.error(f"a record is of {N_ROWS:,} rows: leave out --rows or --record")
    folder = arguments.folder or new_folder()
    kept = record.opened(anew=False) if arguments.record else None
    try:
        _measure(folder, arguments, kept)
    finally:
        embedded.stop(folder)
        if arguments.folder is None:
            shutil.rmtree(folder)


def new_folder() -> Path:
    """Make a folder for the data of an embedded server; return its path."""
    # Under root the embedded server runs as another user, who can access /var/lib.
    parent = "/var/lib" if os.geteuid() == 0 else None
    return Path(tempfile.mkdtemp(prefix="spocdb-bench-", dir=parent))


def _measure(folder: Path, arguments: argparse.Namespace, kept: Path | None) -> None:
    if arguments.url:
        schema.upgrade(arguments.url)
    else:
        embedded.upgraded(folder)  # run as the role that owns the schema
    # The superuser, as one step creates a database with the extension.
    settings = Settings(arguments.url or embedded.admin_url(folder), folder, folder / "cache")
    with connect(settings=settings) as db, db.engine.connection() as connection:
        target = gallery.open(db, connection, "growing", arguments.rows)
        for step in arguments.steps:
            record.report(f"database-{step}", STEPS[step](target), kept)


if __name__ == "__main__":
    main()
