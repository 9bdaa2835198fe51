"""Latencies of several ways to ask the same, taken in turn so that all have the same weather."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spocdb.db.engine import Connection
from spocdb.records import Float64Array

# The first calls of a connection plan, and fill its caches.
N_WARM = 20

Rows = list[tuple[Any, ...]]
Ask = Callable[[Any], Rows]


def asks(connection: Connection, statement: Any, n_times: int = 1) -> Ask:
    """Return a function that runs a statement with its argument, given `n_times`."""
    return lambda query: connection.execute(statement, [query] * n_times).fetchall()


def take_turns(
    ways: Mapping[str, Ask], queries: Sequence[Any]
) -> tuple[dict[str, Float64Array], dict[str, list[Rows]]]:
    """Return the milliseconds (n,) and the rows of each way, by its name."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[Rows]] = {name: [] for name in ways}
    for query in queries[:N_WARM]:
        for ask in ways.values():
            ask(query)
    rng = np.random.default_rng(0)
    names = list(ways)
    for query in queries:
        # Whoever comes first finds the pages cold.
        rng.shuffle(names)
        for name in names:
            began = time.perf_counter()
            rows = ways[name](query)
            taken[name].append((time.perf_counter() - began) * 1000)
            found[name].append(rows)
    return {name: np.array(values) for name, values in taken.items()}, found
