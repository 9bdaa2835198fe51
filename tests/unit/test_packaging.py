"""The distribution lists every file. An editable install would hide missing ones."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import spocdb

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, dict[str, list[str]]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return project["tool"]["setuptools"]  # type: ignore[no-any-return]


def test_every_folder_with_python_is_a_listed_package(
    setuptools_table: dict[str, dict[str, list[str]]],
) -> None:
    trees = {"spocdb": "spocdb", "cli": "spocdb.cli", "migrations": "spocdb.migrations"}
    folders = {
        ".".join((package, *file.parent.relative_to(ROOT / tree).parts))
        for tree, package in trees.items()
        for file in (ROOT / tree).rglob("*.py")
    }
    assert sorted(setuptools_table["packages"]) == sorted(folders)


def test_every_pattern_of_package_data_finds_files(
    setuptools_table: dict[str, dict[str, list[str]]],
) -> None:
    folders = setuptools_table["package-dir"]
    for package, patterns in setuptools_table["package-data"].items():
        for pattern in patterns:
            folder = ROOT / str(folders.get(package, package.replace(".", "/")))
            assert list(folder.glob(pattern)), f"{package}: {pattern}"


def test_the_version_heads_the_changelog() -> None:
    heading = re.match(r"## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)", _read("CHANGELOG.md"))
    assert heading is not None
    suffix = ".dev0" if heading[2] == "unreleased" else ""
    assert f"{heading[1]}{suffix}" == spocdb.__version__


def test_importing_spocdb_loads_nothing_heavy() -> None:
    code = "import sys, spocdb; print({'torch', 'numpy', 'sqlalchemy', 'PIL'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def _read(name: str) -> str:
    return (ROOT / name).read_text()
