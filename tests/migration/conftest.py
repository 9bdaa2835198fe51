"""Dumps of databases, to compare them."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Dump = Callable[..., str]

TABLE = re.compile(r"(?ms)^CREATE TABLE [^\n]* \($.*?^\);$")
ROWS = re.compile(r"(?ms)^COPY (\S+) \((.*?)\) FROM stdin;\n(.*?)^\\\.$")


@pytest.fixture(scope="session")
def dump(postgres_bin: Path) -> Dump:
    """Return a function that dumps a database as text, without random keys."""

    def run(url: str, *options: str) -> str:
        command = [str(postgres_bin / "pg_dump"), *options, "-d", url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # Since August 2025, pg_dump writes a random key at the beginning and the end. It also sets
        # transaction_timeout, which servers before 17 do not have.
        return re.sub(r"(?m)^(\\(un)?restrict|SET transaction_timeout) .*$", "", text)

    return run


@pytest.fixture(scope="session")
def contents(dump: Dump) -> Dump:
    """Return a function that dumps a database with its columns and rows in alphabetical order.

    A downgrade that restores a dropped column adds it as the last one, and an updated row moves to
    the end of its table.
    """

    def run(url: str, *options: str) -> str:
        return TABLE.sub(_sorted_columns, ROWS.sub(_sorted_rows, dump(url, *options)))

    return run


def _sorted_columns(table: "re.Match[str]") -> str:
    first, *columns, last = table[0].splitlines()
    return "\n".join([first, *sorted(column.rstrip(",") for column in columns), last])


def _sorted_rows(rows: "re.Match[str]") -> str:
    names = rows[2].split(", ")
    order = sorted(range(len(names)), key=names.__getitem__)
    cells = [line.split("\t") for line in rows[3].splitlines()]
    lines = sorted("\t".join(row[i] for i in order) for row in cells)
    return "\n".join([f"{rows[1]}: {', '.join(sorted(names))}", *lines])
