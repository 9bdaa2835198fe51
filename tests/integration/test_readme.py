"""The commands of README, tutorials and guides, run unchanged and in order."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from spocdb.db import embedded
from tests.fixtures.archived import packed, shard
from tests.fixtures.buckets import Bucket

Finished = subprocess.CompletedProcess[str]
Run = Callable[..., Finished]

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# The documents' database URL is replaced by the URL of the test's database.
SHOP = "export SPOCDB_DATABASE_URL=postgresql://me@localhost/shop"
# Its test has networks for it: test_own_networks.py.
RUN_ELSEWHERE = "docs/how-to/own-network.md"
# The address of a database, as the documentation inserts it into other commands.
URL = "$(spocdb db url)"
# Characters that a shell interprets. In single quotes it interprets none.
FOR_A_SHELL = re.compile(r"[$`*?~|;&<>\\[{(]")
IN_SINGLE_QUOTES = re.compile(r"'[^']*'")


def blocks(document: str, language: str) -> list[str]:
    """Return a document's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def commands(document: str) -> list[str]:
    """Return the lines that a user types. Blocks of `sh` instead of `console` are not run."""
    lines = "".join(blocks(document, "console")).splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


def run(command: list[str], folder: Path, environment: dict[str, str]) -> Finished:
    """Run a command that must succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def home(
    tmp_path: Path, make_photos: Callable[..., Path], environment: dict[str, str]
) -> Iterator[tuple[Path, dict[str, str]]]:
    """Return a user's folder with pictures, and an environment with an embedded server."""
    shutil.copy(make_photos(6, "images") / "0000.jpg", tmp_path / "query.jpg")
    # More images than the 256 dimensions that the commands fit.
    make_photos(270, "other-images", seed=1)
    make_photos(6, "media", seed=4)
    rows = [f"images/{i:04}.jpg,{'shoe' if i % 2 else 'hat'},2024" for i in range(6)]
    (tmp_path / "images.csv").write_text("\n".join(["path,kind,year", *rows]))
    (tmp_path / "pairs.csv").write_text("query,match\nimages/0000.jpg,images/0001.jpg\n")
    for name, photo in zip(
        ("100000", "100001", "100100", "100101"),
        sorted(make_photos(4, "some", seed=2).iterdir()),
        strict=True,
    ):
        (tmp_path / "holidays").mkdir(exist_ok=True)
        photo.rename(tmp_path / "holidays" / f"{name}.jpg")
    for number, photo in enumerate(sorted(make_photos(8, "more", seed=3).iterdir())):
        (tmp_path / "classes" / str(number // 2)).mkdir(parents=True, exist_ok=True)
        photo.rename(tmp_path / "classes" / str(number // 2) / photo.name)
    with tempfile.TemporaryDirectory(prefix="spocdb-readme-") as folder:
        programs = f"{BIN}:{embedded.psql(Path(folder)).parent}:{os.environ['PATH']}"
        yield tmp_path, environment | {"SPOCDB_DATA_DIR": folder, "PATH": programs}
        embedded.stop(Path(folder))


@pytest.fixture
def type_in(home: tuple[Path, dict[str, str]], spocdb: Run) -> Callable[[str], Finished]:
    """Return a function that runs a line in the user's folder; it must succeed.

    It runs in this process, which saves a minute of imports, unless the line needs a shell.
    """
    folder, environment = home

    def type_in(line: str) -> Finished:
        if URL in line:
            line = line.replace(URL, type_in("spocdb db url").stdout.strip())
        program, *arguments = shlex.split(line)
        if program != "spocdb" or FOR_A_SHELL.search(IN_SINGLE_QUOTES.sub("", line)):
            return run(["bash", "-ec", line], folder, environment)
        done = spocdb(*arguments, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        return done

    return type_in


@pytest.fixture
def walk(
    home: tuple[Path, dict[str, str]], type_in: Callable[[str], Finished], empty_url: str
) -> Callable[..., tuple[str, str]]:
    """Return a function that runs the commands of documents, one document after the other.

    It returns what they wrote to stdout, and to stderr.
    """
    _, environment = home

    def walk(*documents: str) -> tuple[str, str]:
        stdout, stderr = "", ""
        for line in (line for document in documents for line in commands(document)):
            if line == SHOP:
                environment["SPOCDB_DATABASE_URL"] = empty_url
            elif not line.startswith("make "):
                done = type_in(line)
                stdout, stderr = stdout + done.stdout, stderr + done.stderr
        # The following commands use the embedded database again.
        environment.pop("SPOCDB_DATABASE_URL", None)
        return stdout, stderr

    return walk


@pytest.fixture
def shop_table(empty_url: str) -> None:
    """Make the table of the second tutorial, with six rows."""
    (table,) = (sql for sql in blocks("docs/tutorial/your-table.md", "sql") if "CREATE" in sql)
    rows = """
        INSERT INTO products
        SELECT i + 1, 'Product ' || i, 'shoe', format('%s.jpg', lpad(i::text, 4, '0'))
        FROM generate_series(0, 5) i
    """
    with psycopg.connect(empty_url) as connection:
        connection.execute(table.encode())
        connection.execute(rows)


@pytest.mark.slow
@pytest.mark.usefixtures("shop_table")
def test_every_command_of_the_readme_does_what_it_says(
    home: tuple[Path, dict[str, str]], walk: Callable[..., tuple[str, str]]
) -> None:
    folder, environment = home
    _, stderr = walk("README.md")
    assert "6 images: 6 new" in stderr and "products: 6 new" in stderr
    assert (folder / "results.png").exists()
    (example,) = blocks("README.md", "python")
    answer = run([sys.executable, "-c", example], folder, environment)
    assert answer.stdout.splitlines()[0].endswith("0000.jpg")


@pytest.mark.slow
@pytest.mark.usefixtures("shop_table")
def test_the_tutorials_and_the_guides_to_collections_do_what_they_say(
    home: tuple[Path, dict[str, str]], walk: Callable[..., tuple[str, str]]
) -> None:
    folder, environment = home
    stdout, stderr = walk(
        "docs/tutorial/first-collection.md",
        "docs/how-to/folders.md",
        "docs/how-to/archives.md",
        "docs/how-to/lists.md",
        "docs/how-to/many-machines.md",
        "docs/how-to/search.md",
        "docs/how-to/sql.md",
        "docs/reference/filters.md",
        "docs/tutorial/your-table.md",
    )
    assert "products: 6 new" in stderr and "detached products" in stdout
    assert (folder / "results.png").exists() and (folder / "products.png").exists()
    (example,) = blocks("docs/tutorial/first-collection.md", "python")
    answer = run([sys.executable, "-c", example], folder, environment)
    assert answer.stdout.splitlines()[0].endswith("0000.jpg")


@pytest.mark.slow
def test_the_guide_to_parquet_files_does_what_it_says(
    home: tuple[Path, dict[str, str]], walk: Callable[..., tuple[str, str]]
) -> None:
    folder, environment = home
    (example,) = blocks("docs/how-to/parquet.md", "python")
    run([sys.executable, "-c", example], folder, environment)
    stdout, stderr = walk("docs/how-to/parquet.md")
    assert "6 images: 6 new" in stderr and stderr.count("6 images: 6 unchanged") == 2
    assert "train-00000.parquet/image/0" in stdout and "image_path=0000.jpg" in stdout


@pytest.fixture
def ray_stopped() -> Iterator[None]:
    """End the cluster of the guide after the test; other tests' clusters have other ports."""
    yield
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = file.read_bytes()
            if b"/ray/" in line and b"6479" in line:
                os.kill(int(file.parent.name), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_stopped")
def test_the_guide_to_ray_does_what_it_says(walk: Callable[..., tuple[str, str]]) -> None:
    stdout, stderr = walk("docs/how-to/ray.md")
    # The shard holds the same pictures under other names.
    assert "12 images: " in stderr and "failed" not in stderr
    assert "images/0000.jpg" in stdout


@pytest.mark.slow
def test_the_guide_to_several_servers_does_what_it_says(
    home: tuple[Path, dict[str, str]],
    walk: Callable[..., tuple[str, str]],
    make_database: Callable[[str], str],
) -> None:
    folder, environment = home
    urls = [make_database("template1") for _ in range(3)]
    (folder / "servers").write_text("\n".join(urls))
    for photo in (folder / "other-images").iterdir():
        shutil.copy(photo, folder / "images" / f"more-{photo.name}")
    stdout, stderr = walk("docs/how-to/shards.md")
    assert "276 images: 276 new" in stderr and "276 images: 276 unchanged" in stderr
    assert "images/0000.jpg" in stdout and "128 dimensions" in stdout
    (example,) = blocks("docs/how-to/shards.md", "python")
    answer = run([sys.executable, "-c", example], folder, environment)
    path, distance = answer.stdout.splitlines()[0].split()
    # A query is computed in float32: where images are in bfloat16, whitening makes that 0.003.
    assert path.endswith("0000.jpg") and abs(float(distance)) < 0.005


@pytest.mark.slow
@pytest.mark.usefixtures("shop_table")
def test_the_guide_to_buckets_does_what_it_says(
    bucket: Bucket, home: tuple[Path, dict[str, str]], walk: Callable[..., tuple[str, str]]
) -> None:
    folder, _ = home
    Bucket(bucket.storage, "shoes").put_all(folder / "images")
    shards = Bucket(bucket.storage, "shards")
    for n in range(2):
        archive = shard(folder / f"shard-000{n}.tar", folder / "images", [f"000{n}.jpg"])
        shards.put(archive.name, archive.read_bytes())
    shards.put("a.parquet", packed(folder / "a.parquet", folder / "images").read_bytes())
    stdout, stderr = walk("docs/how-to/buckets.md")
    assert "2 images: 2 already known" in stderr and "6 images: 6 already known" in stderr
    assert "6 images: 6 new" in stderr and "6 images: 6 unchanged" in stderr
    assert "s3://photos/shoes/0000.jpg" in stdout
    assert "products: 6 new" in stderr


@pytest.mark.slow
def test_the_guides_to_quality_and_speed_do_what_they_say(
    home: tuple[Path, dict[str, str]],
    type_in: Callable[[str], Finished],
    walk: Callable[..., tuple[str, str]],
) -> None:
    folder, _ = home
    type_in("spocdb ingest ./images --extractor mini")
    _, stderr = walk(
        "docs/how-to/map.md",
        "docs/how-to/pca.md",
        "docs/how-to/evaluate.md",
        "docs/how-to/train.md",
        "docs/how-to/speed.md",
        "docs/how-to/index-kinds.md",
        "docs/how-to/partitions.md",
    )
    assert "warning: 270 images are few for whitening 256 dimensions" in stderr
    for file in ("variance.png", "quality.png", "worst.png", "curve.png", "pca.safetensors"):
        assert (folder / file).exists()
    assert "6 images are too few for UMAP: the map shows the first two components" in stderr
    assert (folder / "photos.parquet").exists()


@pytest.mark.slow
def test_the_guide_to_copies_does_what_it_says(
    home: tuple[Path, dict[str, str]],
    type_in: Callable[[str], Finished],
    walk: Callable[..., tuple[str, str]],
    shared: Path,
) -> None:
    folder, _ = home
    # A calibration takes more than a few images, which differ as photographs do.
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    for photo in sorted((shared / "data" / "photos1000").rglob("*.jpg"))[:200]:
        shutil.copy(photo, folder / "images")
    type_in("spocdb ingest ./images --extractor mini")
    stdout, stderr = walk("docs/how-to/duplicates.md")
    assert "the same picture up to 0." in stdout
    assert "the same picture, up to a distance of 0." in stderr
    assert (folder / "calibration.png").exists()


@pytest.mark.slow
def test_the_guide_to_learned_projections_does_what_it_says(
    home: tuple[Path, dict[str, str]],
    type_in: Callable[[str], Finished],
    walk: Callable[..., tuple[str, str]],
) -> None:
    folder, _ = home
    type_in("spocdb ingest ./images --extractor mini")
    photos = sorted((folder / "other-images").iterdir())
    for photo in photos:
        shutil.copy(photo, folder / "images" / f"shop-{photo.name}")
    # Two photographs of each product.
    rows = [f"images/shop-{photo.name},{n // 2}" for n, photo in enumerate(photos)]
    (folder / "labels.csv").write_text("\n".join(["path,product", *rows]))
    walk("docs/how-to/learned-projections.md")
    listed = type_in("spocdb pca list").stdout
    assert "discriminative" in listed and "head" in listed


def test_what_is_typed_anywhere_is_run_by_a_test() -> None:
    tested = set(re.findall(r'"(README\.md|docs/[\w/-]+\.md)"', Path(__file__).read_text()))
    for page in (ROOT / "docs").rglob("*.md"):
        document = str(page.relative_to(ROOT))
        assert not blocks(document, "console") or document in tested


def test_the_documentation_shows_what_a_user_should_copy() -> None:
    """Small numbers would make the test fast, but give a reader bad results."""
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        name = str(document.relative_to(ROOT))
        lines = "\n".join([*blocks(name, "console"), *blocks(name, "sh")])
        dims = re.findall(r"--dim[ =]([\d,]+)", lines)
        assert all(max(map(int, dim.split(","))) >= 128 for dim in dims), document
        assert not re.search(r"--epochs[ =][1-4]\b|--seconds[ =]1\b|--size[ =]\d\d\b", lines)


def test_the_two_commands_that_set_everything_up_are_in_the_makefile() -> None:
    assert commands("README.md")[:2] == ["make demo", "make test"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)


@pytest.mark.slow
def test_the_demo_finds_what_it_knows_to_be_right_and_shows_it(
    environment: dict[str, str],
) -> None:
    """In a terminal it ends with the address of the page, until Ctrl-C."""
    terminal, inside = os.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment,
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert demo.stdout
        shown = ""
        for line in demo.stdout:
            shown += line
            if address := re.match("serving (http://.*)", line):
                break
        assert address, shown
        page = httpx.get(address[1], follow_redirects=True, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert page.text.count('class="tile"') >= 100
        drawn = httpx.get(f"{address[1]}api/v1/collections/photos/map").raise_for_status()
        assert drawn.json()["method"] == "components"
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.communicate(timeout=60)[0].startswith("stopped")
        assert demo.returncode == 0
    finally:
        demo.kill()
        demo.wait()
        os.close(terminal)
        os.close(inside)
    found = re.search(r"(\d+) of 70 right", shown)
    assert found and int(found[1]) >= 66
    assert (ROOT / "demo" / "out" / "results.png").stat().st_size > 100_000
