"""The database alone, up to a million images: loading, indexes, searches, re-projection."""

from benchmarks.database import (
    by_kinds,
    by_parts,
    clients,
    copies,
    duplicates,
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

# The order matters: later steps search the rows that `growth` loads.
STEPS: dict[str, Step] = {
    "loading": loading.run,
    "growth": growth.run,
    "kinds": kinds.run,
    "by-kinds": by_kinds.run,
    "by-parts": by_parts.run,
    "peers": peers.run,
    "overhead": overhead.run,
    "filters": filters.run,
    "clients": clients.run,
    "copies": copies.run,
    "duplicates": duplicates.run,
    "reprojection": reprojection.run,
}
