"""A wrong request ends with one line, an exit code and no traceback."""

import re
import socket
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spocdb.api import connect
from spocdb.db import embedded
from spocdb.errors import DatabaseError, SchemaOutOfDate
from spocdb.images.formats import READ
from spocdb.settings import from_environment
from tests.fixtures.program import Finished, Start

Make = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture
def photos(ingested_photos: Path) -> Path:
    """Return a folder of four photos that are ingested."""
    return ingested_photos


def the_line(result: Any, code: int = 1) -> str:
    """Return the one line that a command said; it printed no data."""
    assert result.returncode == code, result
    assert result.stdout == ""
    # A search says first that it loads its network, and checks the picture after that.
    (line,) = (said for said in result.stderr.splitlines() if said != "loading the network")
    assert isinstance(line, str)
    return line


def usage_error(result: Any) -> str:
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return str(result.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["ingest", "nowhere"], "spocdb: no such file or folder: {here}/nowhere"),
        (["ingest", "photos", "--metadata", "no.csv"], "spocdb: cannot read no.csv: No such file"),
        (["ingest", "photos", "--metadata", "photos"], "spocdb: photos is no metadata file"),
        (["ingest", "photos", "--extractor", "vgg16"], "spocdb: this collection has"),
        (["ingest", "photos", "--size", "7"], "spocdb: --size must be 32 to 4096 pixels, not 7"),
        (["ingest", "photos", "--pooling", "mean"], "spocdb: unknown pooling 'mean': one of sum"),
        (["ingest", "photos", "--fit", "x"], "spocdb: unknown fit 'x': one of warp, aspect, pad"),
        (["ingest", "photos", "-c", "new", "--extractor", "x"], "spocdb: unknown extractor 'x'"),
        (["ingest", "photos", "-c", "new", "--weights", "no.pth"], "spocdb: cannot read the weig"),
        (["ingest", "photos", "-c", "images"], "spocdb: "),
        (["ingest", "--retry-failed", "-c", "typo"], "spocdb: there is no collection named typo"),
        (
            ["failures", "-c", "typo"],
            "spocdb: there is no collection named typo; there are: photos",
        ),
        (["failures", "-c", "\udce9"], "spocdb: '\\udce9' is not UTF-8"),
        (["search", "nowhere.jpg"], "spocdb: cannot read nowhere.jpg: No such file or directory"),
        (["search", "photos"], "spocdb: cannot read photos: Is a directory"),
        (
            ["search", "text.txt"],
            f"spocdb: text.txt: not a {READ} file",
        ),
        (["search", "photos/0000.jpg", "--crop", "96,0,5,5"], "spocdb: the crop 96,0,5,5 holds"),
        (["search", "--id", "1", "-c", "typo"], "spocdb: there is no collection named typo"),
        (["search", "--id", "99"], "spocdb: collection photos has no image 99"),
        (
            ["search", "--key", "1"],
            "spocdb: collection photos is of files, not of the rows of a table, and has no image "
            "'1': see `spocdb images list`",
        ),
        (["search", "--id", "1", "--filter", "a=\udce9"], "spocdb: "),
        (["collections", "drop", "typo", "--yes"], "spocdb: there is no collection named typo"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace") if isinstance(value, list) else "",
)
def test_a_wrong_input_is_one_line(
    spocdb: Run, photos: Path, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "text.txt").write_text("no image")
    # Weights for a new collection are looked for in a file that has none.
    if "images" in arguments:
        arguments = [*arguments, "--extractor", "squeezenet1_1", "--weights", "text.txt"]
    said = the_line(spocdb(*arguments, cwd=tmp_path))
    assert said.startswith(line.format(here=tmp_path)), said


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        (["collections", "drop", "photos", "--yes", "--db", ""], "the argument after --db"),
        (["collections", "drop", "photos", "--yes", "--db="], "--db="),
        (["collections", "drop", "", "--yes"], "argument 3"),
        (["search", "--id", "1", "-c", ""], "the argument after -c"),
        (["images", "move", "photos", ""], "argument 4"),
        (["duplicates", "export", "move.sh", "--move-to", ""], "the argument after --move-to"),
        (["ingest", "--db=postgresql://me:secret@host/db", ""], "argument 3"),
        ([""], "argument 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_empty_argument_as_of_a_variable_that_is_not_set_is_refused(
    photos: Path, spocdb: Run, db: Any, arguments: list[str], which: str
) -> None:
    done = spocdb(*arguments, cwd=photos.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"spocdb: {which} is empty: give a value, or leave the option out\n"
    assert db.count() == 4


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["ingest"], "name the images or folders to ingest"),
        (["ingest", "photos", "--batch-size", "0"], "greater than or equal to 1"),
        (["ingest", "photos", "--size", "big"], "'big'|valid integer"),
        (["search"], "give an IMAGE, or --id, or --key"),
        (["search", "a.jpg", "--id", "1"], "give an IMAGE, or --id, or --key"),
        (["search", "a.jpg", "--crop", "1,2,3"], "'1,2,3' is not X,Y,W,H"),
        (["search", "a.jpg", "--crop", "a,b,c,d"], "'a,b,c,d' is not X,Y,W,H"),
        (["search", "--id", "1", "--crop", "1,2,3,4"], "a crop needs an IMAGE"),
        (["search", "a.jpg", "--filter", "year"], "'year' is no condition: write KEY"),
        (["search", "a.jpg", "--filter", "=1"], "'=1' is no condition: write KEY"),
        (["search", "a.jpg", "-k", "0"], "greater than or equal to 1"),
        (["search", "--id", "1", "-k", "3000000000"], "less than or equal to"),
        (["search", "--id", "9" * 20], "less than or equal to"),
        (["nonsense"], "No such command 'nonsense'"),
        (["ingest", "photos", "--nonsense"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(
    spocdb: Run, arguments: list[str], line: str
) -> None:
    import re

    assert re.search(line, usage_error(spocdb(*arguments)))


@pytest.mark.parametrize(
    "url",
    ["postgresql://127.0.0.1:1/x", "postgresql:///x?host=/no"],
)
def test_a_wrong_database_is_one_line(spocdb: Run, url: str) -> None:
    said = the_line(spocdb("failures", "--db", url))
    assert said.startswith("spocdb: cannot reach the database: ")
    assert said.endswith(": check --db or SPOCDB_DATABASE_URL")
    assert "\t" not in said


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("nonsense", "spocdb: the database's address (--db or SPOCDB_DATABASE_URL) is malformed: "),
        ("mysql://localhost/x", "spocdb: spocdb works with PostgreSQL, not with mysql: write "),
    ],
)
def test_an_address_of_something_else_is_one_line(spocdb: Run, url: str, line: str) -> None:
    said = the_line(spocdb("failures", "--db", url))
    assert said.startswith(line)
    assert "postgresql://USER@HOST:PORT/DATABASE" in said


def test_a_database_without_the_schema_says_how_to_make_it(spocdb: Run, empty_url: str) -> None:
    said = the_line(spocdb("failures", "--db", empty_url))
    assert said == "spocdb: this database has no schema spocdb yet: run `spocdb db init` on it"


def test_before_the_first_ingest_a_search_says_so(spocdb: Run) -> None:
    said = the_line(spocdb("search", "--id", "1"))
    assert said == (
        "spocdb: there is no collection yet: "
        "run `spocdb ingest FOLDER` or `spocdb attach TABLE` first"
    )


def test_a_wrong_setting_is_one_line(
    spocdb: Run, environment: dict[str, str], make_photos: Make
) -> None:
    environment["SPOCDB_MAX_PIXELS"] = "many"
    said = the_line(spocdb("ingest", make_photos(1)))
    assert said == "spocdb: SPOCDB_MAX_PIXELS must be a positive whole number, not 'many'"


def test_without_network_the_next_step_is_told_in_one_line(
    start_spocdb: Start, url: str, environment: dict[str, str], make_photos: Make, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nothing listens there
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        environment |= dict.fromkeys(("https_proxy", "HTTPS_PROXY"), proxy)
        environment |= {"no_proxy": "", "NO_PROXY": "", "TORCH_HOME": str(tmp_path / "torch")}
        # urllib reads the proxy's address once per process.
        process = start_spocdb("ingest", make_photos(1), SPOCDB_DATABASE_URL=url)
        out, err = process.communicate(timeout=60)
        said = the_line(Finished([], process.wait(), out, err))
    assert said.startswith("spocdb: cannot download https://download.pytorch.org/models/vgg19-")
    assert "Connection refused" in said
    assert said.endswith("use --extractor mini, which is here, or give a file with --weights FILE")
    assert not list(tmp_path.rglob("vgg19*"))


@pytest.mark.parametrize("sheet", ["nowhere/a.png", "a.txt"])
def test_a_sheet_that_cannot_be_written_is_one_line(
    spocdb: Run, photos: Path, tmp_path: Path, sheet: str
) -> None:
    result = spocdb("search", "--id", "1", "--sheet", tmp_path / sheet)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"spocdb: cannot write {tmp_path / sheet}: ")
    assert "Traceback" not in result.stderr


def test_what_a_decoder_logs_is_not_printed(spocdb: Run, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "deep.tif"
    Image.new("RGB", (8, 8)).save(file)
    samples, many = (struct.pack("<HHIHH", 277, 3, 1, number, 0) for number in (3, 999))
    file.write_bytes(file.read_bytes().replace(samples, many))  # Pillow logs an error about it
    assert the_line(spocdb("search", file)).startswith(f"spocdb: {file}: cannot decode this TIFF")


def test_prune_on_an_empty_folder_is_one_line(spocdb: Run, photos: Path) -> None:
    for file in photos.iterdir():
        file.unlink()
    result = spocdb("ingest", photos, "--prune")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spocdb: nothing pruned: {photos} holds no image any more: bring it ")
    assert line.endswith("forget its 4 images by --prune --yes")


@pytest.mark.parametrize("name", ["new\nline.png", "esc\x1b[31m.png"])
def test_an_error_about_an_odd_name_is_still_one_line(spocdb: Run, photos: Path, name: str) -> None:
    (photos / name).write_bytes(b"bad")
    result = spocdb("ingest", photos, "--strict")
    assert result.returncode == 1
    summary, line = result.stderr.splitlines()
    assert summary.startswith("5 images: ")
    assert line.startswith(f"spocdb: {photos}/")
    assert line.endswith(f": not a {READ} file")
    assert line.isprintable()


def test_a_name_that_is_not_utf_8_can_be_searched_for(
    spocdb: Run, photos: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "caf\udce9.jpg"
    Image.open(photos / "0001.jpg").save(odd, "JPEG")
    result = spocdb("search", odd, "-k", "1", "--json")
    assert result.returncode == 0, result.stderr
    assert "0001.jpg" in result.stdout
    assert the_line(spocdb("search", tmp_path / "no\udce9.jpg")).endswith(
        "No such file or directory"
    )


@pytest.mark.parametrize(
    ("folder", "why"),
    # /proc says that it has no space left.
    [("{here}/file", "File exists"), ("/proc/x", "No such|Perm")],
)
def test_an_embedded_database_in_no_folder_is_one_line(
    environment: dict[str, str], folder: str, why: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="spocdb-folder-") as here:
        Path(here).chmod(0o755)  # for the server's user, where root runs it
        (Path(here) / "file").write_text("")
        data_dir = folder.format(here=here)
        settings = from_environment(None, environment | {"SPOCDB_DATA_DIR": data_dir})
        with pytest.raises(DatabaseError) as caught:
            connect(settings=settings)
    said = str(caught.value)
    assert re.match(f"the embedded server cannot use the folder {data_dir}: (?:{why})", said), said
    assert said.endswith(": set SPOCDB_DATA_DIR to another one, or name a server with `url=...`")


def test_an_embedded_database_of_a_newer_program_says_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="spocdb-newer-") as folder:
        settings = from_environment(None, environment | {"SPOCDB_DATA_DIR": folder})
        try:
            with connect(settings=settings) as db, db.engine.connection() as connection:
                connection.execute("UPDATE spocdb.alembic_version SET version_num = '9'")
            with pytest.raises(SchemaOutOfDate, match="newer than this program"):
                connect(settings=settings)
        finally:
            embedded.stop(Path(folder))
