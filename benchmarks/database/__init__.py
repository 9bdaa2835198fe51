"""The database alone, up to a million images: loading, indexes, searches, re-projection."""

from benchmarks.database import (
    clients,
    filters,
    gallery,
    growth,
    kinds,
    loading,
    overhead,
    peers,
    reprojection,
)
from benchmarks.database.gallery import Step
from benchmarks.record import Figure
from spocdb.api import Database

N_ROWS = 1_000_000

# In this order: the later ones search in what growth has loaded.
STEPS: dict[str, Step] = {
    "loading": loading.run,
    "growth": growth.run,
    "kinds": kinds.run,
    "peers": peers.run,
    "overhead": overhead.run,
    "filters": filters.run,
    "clients": clients.run,
    "reprojection": reprojection.run,
}


def run(db: Database, n_rows: int) -> list[Figure]:
    """Measure everything at `n_rows`; a minute or two for 20,000, an hour for a million."""
    target = gallery.open(db, "growing", n_rows)
    return [figure for step in STEPS.values() for figure in step(target)]
