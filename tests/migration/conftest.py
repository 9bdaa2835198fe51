"""What a database looks like from outside: its dump."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Dump = Callable[..., str]


@pytest.fixture(scope="session")
def dump(postgres_bin: Path) -> Dump:
    """Return a function that dumps a database as text, without what differs by chance."""

    def run(url: str, *options: str) -> str:
        command = [str(postgres_bin / "pg_dump"), *options, "-d", url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # Since August 2025 a dump begins and ends with a random key, and a setting that servers
        # before 17 do not have.
        return re.sub(r"(?m)^(\\(un)?restrict|SET transaction_timeout) .*$", "", text)

    return run
