"""What `pip install` gives, without the checkout and without a network: ingest, then search."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.gallery import make_gallery

# One wheel is built.
pytestmark = pytest.mark.xdist_group("wheel")

ROOT = Path(__file__).parents[2]
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "spocdb", "cli", "migrations")
MOST_BYTES = 2_500_000
MAIN = "import sys; from spocdb.cli import main; sys.argv[0] = 'spocdb'; main()"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the wheel is installed into; what it needs is this environment's."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = source.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", folder, wheel], check=True)
    return folder


@pytest.fixture
def installed_spocdb(installed: Path, url: str, environment: dict[str, str], tmp_path: Path) -> Run:
    """Return a function that runs the installed program where no network answers."""
    nowhere = "http://127.0.0.1:9"

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", MAIN, *map(str, arguments)],
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


def test_the_wheel_finds_the_right_neighbours_offline(
    installed_spocdb: Run, installed: Path, tmp_path: Path
) -> None:
    _, queries = make_gallery(tmp_path)
    done = installed_spocdb("ingest", tmp_path / "images", "--extractor", "mini")
    assert done.returncode == 0, done.stderr
    for query in (q for q in queries if q.stem in ("astronaut", "coffee", "rocket")):
        found = installed_spocdb("search", query, "-k", "3", "--csv")
        assert found.returncode == 0, found.stderr
        paths = [line for line in found.stdout.splitlines() if ".jpg" in line]
        assert len(paths) == 3 and all(f"{query.stem}-" in path for path in paths)
    assert (installed / "spocdb" / "features" / "mini.safetensors").stat().st_size <= MOST_BYTES
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


def test_without_weights_and_network_it_says_what_there_is(
    installed_spocdb: Run, make_photos: Callable[..., Path]
) -> None:
    done = installed_spocdb("ingest", make_photos(1))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("spocdb: cannot download https://")
    assert line.endswith(
        "use `--extractor mini`, which is here, or give a file with --weights FILE"
    )
