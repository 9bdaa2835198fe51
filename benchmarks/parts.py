"""Embeddings in one table and in several, on a new embedded server, recorded.

From the repository's root: python -m benchmarks.parts
"""

import shutil

from benchmarks import record
from benchmarks.database import by_parts, gallery
from benchmarks.database.__main__ import new_folder
from spocdb.api import connect
from spocdb.db import embedded
from spocdb.settings import Settings

NAME = "-parts"


def main() -> None:
    """Measure, print and record."""
    folder = new_folder()
    try:
        embedded.upgraded(folder)
        settings = Settings(embedded.admin_url(folder), folder, folder / "cache")
        with connect(settings=settings) as db, db.engine.connection() as connection:
            target = gallery.open(db, connection, "growing", by_parts.N_IMAGES)
            figures = by_parts.run(target)
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder)
    record.show(figures)
    print(record.write([record.as_dict(figure) for figure in figures], NAME))


if __name__ == "__main__":
    main()
