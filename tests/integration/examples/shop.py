"""The shop of the examples: its products, and how to see that an index was used."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Query = Callable[[str], Any]

EXAMPLES = Path(__file__).parents[3] / "examples"


SQLALCHEMY, DJANGO = EXAMPLES / "sqlalchemy_shop", EXAMPLES / "django_shop"


LIBPQ = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


# Sorting a dozen rows is cheaper than the index; a real shop has more rows.
BY_INDEX = {"PGOPTIONS": "-c enable_seqscan=off -c enable_sort=off"}


N_PRODUCTS = 12


# Product 5 and its copy, the last; 7 is not published; prices count up from 1.
ORIGINAL, COPY, UNPUBLISHED = 5, N_PRODUCTS + 1, 7


TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'spocdb%'"


SCANS = """
SELECT sum(idx_scan) FROM pg_stat_user_indexes
WHERE schemaname = 'spocdb' AND indexrelname LIKE '%_hnsw'
"""


def scans_after(query: Query, before: Any) -> Any:
    """Return how often an index was scanned; a session reports its scans shortly after it ends."""
    deadline = time.monotonic() + 10
    while (scans := query(SCANS)) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return scans


def _ids(lines: str) -> list[int]:
    """Return the numbers that the lines begin with."""
    return [int(line.split("\t")[0]) for line in lines.splitlines() if line[:1].isdigit()]
