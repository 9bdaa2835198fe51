"""What is shipped is what is there. An editable install would hide whatever is missing."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import spocdb

ROOT = Path(__file__).parents[2]
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "spocdb", "cli", "migrations")


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


def test_a_wheel_holds_every_file_that_is_needed(tmp_path: Path) -> None:
    # In a copy: setuptools would leave a build folder, and ship again what lies in an old one.
    for name in SHIPPED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())

    expected = {
        str(Path(home, file.relative_to(ROOT / tree)))
        for tree, home in (("spocdb", "spocdb"), ("cli", "spocdb/cli"))
        for file in (ROOT / tree).rglob("*.py")
    } | {
        str(Path("spocdb/migrations", file.relative_to(ROOT / "migrations")))
        for pattern in ("*.py", "*.sql", "script.py.mako")
        for file in (ROOT / "migrations").rglob(pattern)
    }
    assert expected | {"spocdb/py.typed", "spocdb/features/mini.safetensors"} <= held


def _read(name: str) -> str:
    return (ROOT / name).read_text()
