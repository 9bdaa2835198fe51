"""The clients of docs/how-to/ask.md, run as they stand, with a worker beside them."""

import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.forking import Fork, Forked
from tests.fixtures.opened import Database
from tests.fixtures.program import Start

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "ask.md"

RunPython = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow


def code(language: str) -> str:
    """Return the guide's client in a language."""
    (block,) = re.findall(rf"^    ```{language}\n(.*?)^    ```", GUIDE.read_text(), re.M | re.S)
    return textwrap.dedent(block)


@pytest.fixture
def nearest(
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Ingest six photographs, go to a copy of one; return the paths nearest to it."""
    folder = make_photos(6)
    db.ingest(folder, collection="photos", **recipe)
    shutil.copy(folder / "0002.jpg", tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    return [hit.path for hit in db.search(tmp_path / "query.jpg", 5)]


@pytest.fixture
def worker(db: Database, nearest: list[str], start_spocdb: Start) -> Forked:
    """Start a worker beside the photographs."""
    return start_spocdb("worker", SPOCDB_DATABASE_URL=db.url)


@pytest.fixture
def run_python(url: str, fork: Fork, environment: dict[str, str], tmp_path: Path) -> RunPython:
    """Return a function that runs the client in Python: its exit status, stdout and stderr."""

    def run(seconds: int = 30) -> tuple[int, str, str]:
        script = tmp_path / "client.py"
        text = code("python").replace('"dbname=shop"', repr(url))
        script.write_text(text.replace("timeout=30", f"timeout={seconds}"))
        with fork([str(script)], environment) as client:
            out, said = client.communicate(timeout=120)
            return client.wait(), out, said

    return run


def test_python(worker: Forked, nearest: list[str], run_python: RunPython) -> None:
    status, out, said = run_python()
    assert status == 0, said
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == nearest
    assert out.startswith("0.000 ")


def test_python_without_a_worker(nearest: list[str], run_python: RunPython) -> None:
    said = "no answer within 30 s: does `spocdb worker` run?\n"
    assert run_python(seconds=1) == (1, "", said)


def test_a_refused_picture(
    worker: Forked, run_python: RunPython, url: str, psql: Callable[..., Any]
) -> None:
    Path("query.jpg").write_bytes(b"no picture")
    status, out, said = run_python()
    assert (status, out) == (1, "")
    assert said.startswith("not a JPEG, ") and said.count("\n") == 1
    ran = psql(url, code("sql"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith(f"\n{said}")


def test_psql(worker: Forked, nearest: list[str], url: str, psql: Callable[..., Any]) -> None:
    ran = psql(url, code("sql"))
    assert ran.returncode == 0, ran.stderr
    assert [line.split("|")[1] for line in ran.stdout.splitlines()[-5:]] == nearest
