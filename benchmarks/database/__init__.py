"""The database alone, up to a million images: loading, indexes, searches, re-projection."""

from benchmarks.database import (
    clients,
    filters,
    growth,
    kinds,
    loading,
    overhead,
    peers,
    reprojection,
)
from benchmarks.database.gallery import Step

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
