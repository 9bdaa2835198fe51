"""The clients of docs/how-to/ask.md, run as they stand, with a worker beside them."""

import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.forking import Fork
from tests.fixtures.opened import Database
from tests.fixtures.program import Start

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "ask.md"

pytestmark = pytest.mark.slow


def code(language: str) -> str:
    """Return the guide's client in a language."""
    (block,) = re.findall(rf"^    ```{language}\n(.*?)^    ```", GUIDE.read_text(), re.M | re.S)
    return textwrap.dedent(block)


@pytest.fixture
def asked(
    db: Database,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
    start_spocdb: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Start a worker beside six photographs, go to one of them; return the paths nearest to it."""
    folder = make_photos(6)
    db.ingest(folder, collection="photos", **recipe)
    shutil.copy(folder / "0002.jpg", tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    start_spocdb("worker", SPOCDB_DATABASE_URL=db.url)
    return [hit.path for hit in db.search(tmp_path / "query.jpg", 5)]


def test_python(
    asked: list[str], url: str, fork: Fork, environment: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "client.py"
    script.write_text(code("python").replace('"dbname=shop"', repr(url)))
    with fork([str(script)], environment) as client:
        out, said = client.communicate(timeout=120)
        assert client.returncode == 0, said
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == asked
    assert out.startswith("0.000 ")


def test_psql(asked: list[str], url: str, psql: Callable[..., Any]) -> None:
    ran = psql(url, code("sql"))
    assert ran.returncode == 0, ran.stderr
    assert [line.split("|")[1] for line in ran.stdout.splitlines()[-5:]] == asked
