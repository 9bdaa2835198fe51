"""The distribution: its files, and the installed program without checkout and network."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import spocdb
from demo.gallery import make_gallery

ROOT = Path(__file__).parents[2]
# Files of building, testing and running, which are not released.
MADE = (
    *(".git", ".ci", ".gitignore", ".venv*", ".*_cache", ".hypothesis", "__pycache__"),
    *("*.egg-info", "build", "dist", "out", "images", "shared"),
)
MOST_BYTES = {"mini": 2_500_000, "mini2": 5_000_000}
MAIN = "import sys; from spocdb.cli import main; sys.argv[0] = 'spocdb'; main()"
# Several searches in one process, because importing torch takes most of the time of each.
SEARCHES = """
import sys
from spocdb.cli import run
for query in sys.argv[1:]:
    sys.argv = ["spocdb", "search", query, "-k", "3", "--csv"]
    if code := run():
        sys.exit(code)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout; a build leaves files there that the next one would ship."""
    copy = tmp_path_factory.mktemp("source") / "spocdb"
    # Only in the root, because the library has folders of the same names.
    made = shutil.ignore_patterns(*MADE)
    inner = shutil.ignore_patterns("__pycache__")
    at_root = {str(ROOT), str(ROOT / "demo")}
    return Path(
        shutil.copytree(
            ROOT, copy, ignore=lambda at, names: (made if at in at_root else inner)(at, names)
        )
    )


@pytest.fixture(scope="module")
def distribution(source: Path) -> Path:
    """Return a folder with a source distribution, and a wheel that is built from it."""
    build = [sys.executable, "-m", "build", "--no-isolation", str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return source / "dist"


@pytest.fixture(scope="module")
def installed(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the installed wheel; its dependencies come from this environment."""
    (wheel,) = distribution.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", folder, wheel], check=True)
    return folder


@pytest.fixture
def installed_spocdb(installed: Path, url: str, environment: dict[str, str], tmp_path: Path) -> Run:
    """Return a function that runs the installed program, or other code, without a network."""
    nowhere = "http://127.0.0.1:9"

    def run(*arguments: object, code: str = MAIN) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=environment
            | {
                "PYTHONPATH": str(installed),
                "SPOCDB_DATABASE_URL": url,
                "TORCH_HOME": str(tmp_path / "torch"),
                "http_proxy": nowhere,
                "https_proxy": nowhere,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.mark.slow
def test_a_source_distribution_holds_the_whole_repository(distribution: Path, source: Path) -> None:
    archive = distribution / f"spocdb-{spocdb.__version__}.tar.gz"
    with tarfile.open(archive) as held:
        files = {name.partition("/")[2] for name in held.getnames()}
    of_building = {source / "dist", source / "spocdb.egg-info", source / "build"}
    missing = {
        str(file.relative_to(source))
        for file in source.rglob("*")
        if file.is_file() and not of_building.intersection(file.parents)
    } - files
    assert missing == set()


@pytest.mark.slow
def test_a_wheel_holds_every_file_that_is_needed(distribution: Path) -> None:
    (wheel,) = distribution.glob("*.whl")
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
    weights = {f"spocdb/features/{name}.safetensors" for name in ("mini", "mini2")}
    assert expected | weights | {"spocdb/py.typed"} <= held
    assert not any(name.startswith(("tests", "docs", "benchmarks")) for name in held)


@pytest.mark.slow
def test_an_index_of_packages_would_take_it(distribution: Path) -> None:
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, distribution.iterdir())]
    subprocess.run(check, check=True, capture_output=True)


@pytest.mark.slow
def test_the_wheel_finds_the_right_neighbours_offline(
    installed_spocdb: Run, installed: Path, tmp_path: Path
) -> None:
    subjects = ("astronaut", "coffee", "rocket")
    # The demo's test searches all subjects.
    _, queries = make_gallery(tmp_path, (*subjects, "brick", "chelsea", "moon"))
    done = installed_spocdb("ingest", tmp_path / "images", "--extractor", "mini")
    assert done.returncode == 0, done.stderr
    found = installed_spocdb(*(q for q in queries if q.stem in subjects), code=SEARCHES)
    assert found.returncode == 0, found.stderr
    paths = [line for line in found.stdout.splitlines() if ".jpg" in line]
    assert len(paths) == 9
    for number, path in enumerate(paths):
        assert f"{subjects[number // 3]}-" in path
    for network, most in MOST_BYTES.items():
        assert (installed / "spocdb" / "features" / f"{network}.safetensors").stat().st_size <= most
    code = "import spocdb; print(spocdb.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(installed))


@pytest.mark.slow
def test_without_weights_and_network_it_says_what_there_is(
    installed_spocdb: Run, make_photos: Callable[..., Path]
) -> None:
    done = installed_spocdb("ingest", make_photos(1))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("spocdb: cannot download https://")
    assert line.endswith("use --extractor mini, which is here, or give a file with --weights FILE")
