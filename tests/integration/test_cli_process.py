"""Tests that need a real process: closed streams, the process title, imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from spocdb import __version__

PROGRAM = Path(sys.executable).with_name("spocdb")

# Runs the search; prints what was imported at its first message, and at its end.
IMPORTS = """
import importlib, io, json, sys

HEAVY = ("numpy", "psycopg", "torch", "torchvision", "torchvision.models", "sympy", "torch._dynamo")
loaded = {}

class Stderr(io.TextIOWrapper):
    def write(self, text):
        loaded.setdefault(text.strip(), [name for name in HEAVY if name in sys.modules])
        return super().write(text)

sys.stderr = Stderr(open(2, "wb", 0, closefd=False), line_buffering=True)
try:
    importlib.import_module("spocdb.cli").main()
except SystemExit as exit:
    assert exit.code == 0
print(json.dumps([*loaded.items()][0]))
print(json.dumps([name for name in HEAVY if name in sys.modules]))
"""


@pytest.fixture
def photos(ingested_photos: Path) -> Path:
    return ingested_photos


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("collections list >&-", 1, "", "spocdb: cannot write to stdout: Bad file descriptor\n"),
        ("ingest photos >&-", 0, "", "4 images: 4 unchanged\n"),
        ("search --id 1 --csv 2>&-", 0, "distance,id,path,metadata", ""),
        ("search --id 1 --csv >&- 2>&-", 1, "", ""),
        ("search --id 1 --csv 2>/dev/full", 0, "distance,id,path,metadata", ""),
        ("ingest photos 2>/dev/full", 0, "", ""),
        ("ingest nowhere 2>/dev/full", 1, "", ""),
        ("ingest --nonsense 2>/dev/full", 2, "", ""),
        ("collections drop photos <&-", 1, "", "spocdb: no answer on stdin"),
    ],
)
def test_closed_streams(
    photos: Path, environment: dict[str, str], url: str, command: str, code: int, out: str, err: str
) -> None:
    run = subprocess.run(
        ["/bin/sh", "-c", f'"{PROGRAM}" {command}'],
        cwd=photos.parent,
        env=environment | {"SPOCDB_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run
    assert run.stdout.startswith(out) and bool(run.stdout) == bool(out)
    assert err in run.stderr and "Traceback" not in run.stderr


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
@pytest.mark.parametrize("joined", [True, False])
def test_a_password_is_not_in_the_process_s_title(
    photos: Path, environment: dict[str, str], url: str, joined: bool
) -> None:
    address = make_conninfo(url, password="secret")
    option = [f"--db={address}"] if joined else ["--db", address]
    with subprocess.Popen(
        [PROGRAM, "collections", "drop", "photos", *option],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None and process.stdin is not None
        asked = process.stderr.read(len("Drop the collection"))
        title = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.stdin.write(b"n\n")
        process.stdin.close()
    assert asked == b"Drop the collection"
    assert b"spocdb collections drop photos" in title and b"secret" not in title
    assert process.returncode == 1


def test_a_search_speaks_before_its_imports_and_loads_no_networks_of_others(
    photos: Path, environment: dict[str, str], url: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", IMPORTS, "search", str(photos / "0001.jpg"), "--json"],
        env=environment | {"SPOCDB_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    *found, first, last = run.stdout.splitlines()
    assert len(json.loads("\n".join(found))) == 4
    assert json.loads(first) == ["loading the network", []]
    assert json.loads(last) == ["numpy", "psycopg"]


def test_python_finds_it_without_a_script(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "spocdb", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout.strip(), run.stderr) == (__version__, "")


def test_completion_is_shown_and_completes(environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [PROGRAM, "--show-completion", "bash"],
        env=environment | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_SPOCDB_COMPLETE" in shown.stdout
    asked = {"_SPOCDB_COMPLETE": "complete_bash", "COMP_CWORD": "1", "COMP_WORDS": "spocdb collec"}
    completed = subprocess.run(
        [PROGRAM], env=environment | asked, capture_output=True, text=True, check=False
    )
    assert completed.stdout.split() == ["collections"]
