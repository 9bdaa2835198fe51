"""Output of commands: data to stdout, messages to stderr."""

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from spocdb.text import written_out
from spocdb.wording import counted as counted

from .tables import print_table as print_table
from .translation import in_commands

# Rows of a table in memory at once.
TABLE_PAGE = 1000

_is_quiet = False


def be_quiet(quiet: bool) -> bool:
    """Silence `talk`."""
    global _is_quiet
    _is_quiet = quiet
    return quiet


def is_quiet() -> bool:
    """Return whether only errors are printed."""
    return _is_quiet


def talk(line: str) -> None:
    """Print a message to stderr, unless --quiet is given."""
    if not _is_quiet:
        complain(line)


def complain(line: str) -> None:
    """Print an error to stderr, even with --quiet."""
    # A stderr that is full or closed must not stop the work.
    with suppress(OSError):
        print(written_out(in_commands(line)), file=sys.stderr, flush=True)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence C libraries: libtiff prints warnings without a file name."""
    with suppress(OSError):
        sys.stderr.flush()
    ours, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    python_stderr = sys.stderr
    os.dup2(sink, 2)
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        # A full stderr must not fail the command now that its work is done.
        with suppress(OSError):
            sys.stderr.flush()
        os.dup2(ours, 2)
        os.close(sink)
        with suppress(OSError):
            sys.stderr.close()
        sys.stderr = python_stderr


def print_json(data: Any) -> None:
    """Print records, or containers of them, as JSON."""
    print(json_text(data))


def print_json_list(records: Iterable[Any]) -> None:
    """Print records as a JSON list, a line for each; one is in memory at a time."""
    separator = "["
    for record in records:
        print(separator, json_text(record, indent=None), sep="\n", end="")
        separator = ","
    print("[]" if separator == "[" else "\n]")


def print_pages(header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Print rows as a table, a thousand at a time, each page aligned; return their number."""
    rows, n_rows = iter(rows), 0
    while page := [*islice(rows, TABLE_PAGE)]:
        n_rows += len(page)
        print_table(header, page)
    return n_rows


def print_csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows as CSV; one is in memory at a time."""
    writer = csv.writer(sys.stdout)
    writer.writerow(header)
    writer.writerows(rows)


def json_text(data: Any, indent: int | None = 2) -> str:
    """Return records, or containers of them, as JSON."""
    return json.dumps(data, default=_encode, indent=indent, ensure_ascii=False)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one record, a line for each field that has a value, or for each value of a list."""
    width = max(map(len, fields))
    for name, value in fields.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            if line not in (None, ""):
                print(f"{written_out(name).ljust(width)}  {written_out(shown_value(line))}")


def shown_metadata(metadata: Mapping[str, object]) -> str:
    """Return metadata as a table cell."""
    return ", ".join(f"{key}={shown_value(value)}" for key, value in metadata.items())


def shown_value(value: object) -> str:
    """Return a value of metadata as text, as JSON where it is more than text or a number."""
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S %z}"
    is_json = isinstance(value, dict | list | bool) or value is None
    return json.dumps(value, ensure_ascii=False) if is_json else str(value)


def moment(when: datetime) -> str:
    """Return a moment in this machine's time zone, to the minute."""
    return f"{when.astimezone():%Y-%m-%d %H:%M}"


def confirm(question: str, yes: bool) -> None:
    """Ask on stderr whether to continue, unless `yes`; exit with code 1 on a no."""
    import typer

    if yes:
        return
    # Not with Typer's prompt, which writes a blank to stdout and leaves its line open.
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not (answer.endswith("\n") and sys.stdin.isatty()):
            complain("")
    if answer.strip().lower() in ("y", "yes"):
        return
    if answer:
        complain("spocdb: nothing was done")
    else:
        complain("spocdb: no answer on stdin, so nothing was done: use --yes to skip the question")
    raise typer.Exit(1)


def _encode(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
