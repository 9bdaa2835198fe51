"""spocdb worker, spocdb status, spocdb retry."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import counted, print_json, print_table, quiet_libraries, talk
from .running import FINISHED_WITH_FAILURES, interruptible
from .signals import graceful

if TYPE_CHECKING:
    from spocdb.api import Throughput


def worker(
    collections: Annotated[
        list[str] | None,
        typer.Option("--collections", "-c", help="Only this collection; repeatable."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is due.")] = False,
    visibility: Annotated[
        float,
        typer.Option(
            min=1, metavar="SECONDS", help="How long a row, image or archive is leased at a time."
        ),
    ] = 300.0,
    poll: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="How often to poll the queue."),
    ] = 5.0,
    weights: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Weights file that is new to this machine; repeatable."),
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per batch.", show_default="8 a core, 64 on GPU"),
    ] = None,
    thumbnails: options.Thumbnails = True,
    db: options.Db = None,
) -> None:
    """Embed changes of attached tables, what `ingest --enqueue` queued, and queries asked in SQL.

    Any number of workers on any machines share the work, until they are stopped. On Ctrl-C or
    SIGTERM a worker finishes its rows, for at most a few seconds; a second signal ends it at once.
    If a worker is killed, other workers take its rows after their leases expire.
    """
    from spocdb.worker import WorkerOptions

    from .logs import voice

    with (
        options.open_database(db) as database,
        quiet_libraries(),
        voice(_timed),
        _stoppable() as is_stopped,
    ):
        done = database.tables.work(
            *(collections or []),
            once=once,
            weights=weights or [],
            device=device,
            precision=precision,  # type: ignore[arg-type]  # the library checks it
            options=WorkerOptions(
                *(database.settings.limits, visibility, poll),
                batch_size=batch_size,
                thumbnails=thumbnails,
            ),
            is_stopped=is_stopped,
        )
        has_nothing = once and not done.n_seen and not database.tables.list()
    if has_nothing:
        talk("nothing is queued: run `spocdb attach` or `spocdb ingest --enqueue` first")
    if once and done.n_failed:
        talk(f"{counted(done.n_failed, 'row')} failed: see `spocdb failures`, `spocdb retry`")
        raise typer.Exit(FINISHED_WITH_FAILURES)


def status(
    collection: options.Collection = None, json: options.Json = False, db: options.Db = None
) -> None:
    """Show the progress of each collection: rows in all, embedded, pending, leased and failed."""
    with options.open_database(db) as database:
        rows = database.tables.coverage(collection)
        rates = database.tables.throughput(collection)
    speed = {rate.collection: rate for rate in rates}
    if json:
        print_json([asdict(row) | _told(speed.get(row.collection)) for row in rows])
        return
    header = ["collection", "projection", "table", "rows", "embedded", "pending", "leased"]
    print_table(
        [*header, "failed", "oldest pending", "images/s", "left"],
        [
            [
                c.collection,
                f"{c.projection}{'*' if c.active else ''}",
                c.relation or "files",
                "?" if c.rows is None else c.rows,
                c.embedded,
                c.pending,
                c.leased,
                c.failed,
                _in_seconds(c.oldest_pending),
                f"{speed[c.collection].images_per_second:.1f}" if c.collection in speed else "",
                _in_seconds(speed[c.collection].remaining) if c.collection in speed else "",
            ]
            for c in rows
        ],
    )
    for problem in {f"{c.collection}: {c.problem}" for c in rows if c.problem}:
        talk(problem)


def retry(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", help="Only these rows.")
    ] = None,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Make failed rows and rows in back-off due at once, or those named."""
    with options.open_database(db) as database:
        n_rows = database.tables.retry(collection, keys or None)
    print(f"{counted(n_rows, 'row')} {'waits' if n_rows == 1 else 'wait'} again")


def _told(rate: "Throughput | None") -> dict[str, Any]:
    return {
        "images_per_second": rate and rate.images_per_second,
        "remaining": rate and rate.remaining,
    }


def _in_seconds(time: timedelta | None) -> str:
    return "" if time is None else str(time).partition(".")[0]


def _timed(line: str) -> None:
    talk(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}")


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a signal asked to stop; a second one interrupts."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with graceful(), interruptible("other workers take its rows after their leases expire"):
            yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
