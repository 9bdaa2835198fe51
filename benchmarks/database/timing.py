"""Latencies of several equivalent queries, interleaved so that machine load affects all alike."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import Figure
from spocdb.db.connections import Connection

# Warm-up queries, which plan the statement and fill the connection's caches.
N_WARM = 50

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Way:
    """A kind of query: a function of its argument, and the connection that it uses."""

    connection: Connection
    ask: Callable[[Any], Rows]


@dataclass(frozen=True)
class Taken:
    """The results of a Way: wall-clock and processor milliseconds of each query, and its rows.

    Processor time is that of the server process and of this one. On a shared machine it
    approximates the wall-clock time of an idle one.
    """

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)


def way(connection: Connection, statement: Any, n_times: int = 1) -> Way:
    """Return the Way that runs a statement with its argument repeated `n_times`."""
    return Way(
        connection, lambda asked: connection.execute(statement, [asked] * n_times).fetchall()
    )


def take_turns(ways: Mapping[str, Way], questions: Sequence[Any]) -> dict[str, Taken]:
    """Run every question with every Way."""
    taken = {name: Taken() for name in ways}
    for question in questions[:N_WARM]:
        for one in ways.values():
            one.ask(question)
    rng = np.random.default_rng(0)
    names = list(ways)
    for question in questions:
        # The first query of a round finds cold pages, so the order is random.
        rng.shuffle(names)
        for name in names:
            ask(ways[name], question, taken[name])
    return taken


def figures(name: str, taken: Taken) -> list[Figure]:
    """Return p50 and p99 of wall-clock time, and p50 of processor time if known."""
    p50, p99 = np.percentile(taken.clock, [50, 99])
    found = [Figure(f"{name}, p50", float(p50), "ms"), Figure(f"{name}, p99", float(p99), "ms")]
    if not math.isnan(busy := float(np.median(taken.processor))):
        found.append(Figure(f"{name}, p50 of processor", busy, "ms"))
    return found


def ask(one: Way, question: Any, taken: Taken) -> None:
    """Ask one question, and add what it took."""
    server = one.connection.info.backend_pid
    busy, own, began = _busy(server), time.thread_time(), time.perf_counter()
    rows = one.ask(question)
    taken.clock.append((time.perf_counter() - began) * 1000)
    own = time.thread_time() - own
    taken.processor.append((_busy(server) - busy + own) * 1000)
    taken.rows.append(rows)


def _busy(process: int) -> float:
    """Return the processor seconds of a process; NaN for one on another machine."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return math.nan
