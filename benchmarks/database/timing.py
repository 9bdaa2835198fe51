"""Latencies of several ways to ask the same, taken in turn so that all have the same weather."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import Figure
from spocdb.db.engine import Connection

# The first calls of a connection plan, and fill its caches.
N_WARM = 50

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Way:
    """A way to ask: a function of what is asked, and the connection that it uses."""

    connection: Connection
    ask: Callable[[Any], Rows]


@dataclass(frozen=True)
class Taken:
    """What each question took: milliseconds by the clock, and of the processor; and the answers.

    The processor's are those of the server's process and of our own: on a machine that others use
    too, they are what the clock would say if it were idle.
    """

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)


def way(connection: Connection, statement: Any, n_times: int = 1) -> Way:
    """Return the way to run a statement with what is asked, given `n_times`."""
    return Way(
        connection, lambda asked: connection.execute(statement, [asked] * n_times).fetchall()
    )


def take_turns(ways: Mapping[str, Way], questions: Sequence[Any]) -> dict[str, Taken]:
    """Ask every question every way."""
    taken = {name: Taken() for name in ways}
    for question in questions[:N_WARM]:
        for one in ways.values():
            one.ask(question)
    rng = np.random.default_rng(0)
    names = list(ways)
    for question in questions:
        # Whoever comes first finds the pages cold.
        rng.shuffle(names)
        for name in names:
            _ask(ways[name], question, taken[name])
    return taken


def figures(name: str, taken: Taken) -> list[Figure]:
    """Return p50 and p99 by the clock, and p50 of the processor's time where it is known."""
    p50, p99 = np.percentile(taken.clock, [50, 99])
    found = [Figure(f"{name}, p50", float(p50), "ms"), Figure(f"{name}, p99", float(p99), "ms")]
    if not math.isnan(busy := float(np.median(taken.processor))):
        found.append(Figure(f"{name}, p50 of processor", busy, "ms"))
    return found


def _ask(one: Way, question: Any, taken: Taken) -> None:
    server = one.connection.info.backend_pid
    busy, own, began = _busy(server), time.thread_time(), time.perf_counter()
    rows = one.ask(question)
    taken.clock.append((time.perf_counter() - began) * 1000)
    own = time.thread_time() - own
    taken.processor.append((_busy(server) - busy + own) * 1000)
    taken.rows.append(rows)


def _busy(process: int) -> float:
    """Return the seconds that a process was on a processor; NaN for one of another machine."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return math.nan
