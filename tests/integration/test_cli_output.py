"""stdout has data, stderr has messages, and the exit code has the result."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spocdb.features.backbones import names
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Recipe = dict[str, Any]
Run = Callable[..., Any]


def as_options(recipe: Recipe) -> list[str]:
    return [f"--{name}={value}" for name, value in recipe.items()]


@pytest.fixture
def photos(db: Database, recipe: Recipe, make_photos: Make) -> Path:
    """Return a folder of three photos that are ingested, with metadata, and one that failed."""
    folder = make_photos(3)
    (folder / "bad.png").write_bytes(b"bad")
    about = folder / "about.csv"
    about.write_text("path,year\n0000.jpg,1999\n0001.jpg,2001\n")
    db.ingest(folder, metadata=about, **recipe)
    return folder


def test_a_first_ingest_and_a_search(spocdb: Run, recipe: Recipe, make_photos: Make) -> None:
    folder = make_photos(3)
    result = spocdb("ingest", folder, *as_options(recipe))
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "3 images: 3 new; " in result.stderr
    result = spocdb("search", folder / "0001.jpg", "-k", "2", "--crop", "0,0,96,72")
    assert result.returncode == 0, result.stderr
    header, first, *_ = result.stdout.splitlines()
    assert header.split() == ["distance", "id", "path", "metadata"]
    distance, *named = first.split()
    assert named == ["2", str(folder / "0001.jpg")]
    # Stored descriptors are bfloat16 where that is fast; the query is float32.
    assert float(distance) < 0.001
    assert result.stderr == "loading the network\nfound with the HNSW index\n"


def test_an_ingest_with_failures_exits_with_3_and_prints_its_counts_as_json(
    spocdb: Run, photos: Path
) -> None:
    result = spocdb("ingest", photos, "--json")
    assert result.returncode == 3
    summary = json.loads(result.stdout)
    assert (summary["n_seen"], summary["n_unchanged"], summary["n_failed"]) == (4, 3, 1)
    assert result.stderr.splitlines() == [
        "4 images: 3 unchanged, 1 failed",
        "left out: 1 .csv",
        "1 image failed: see `spocdb failures`",
    ]


def test_an_ingest_where_all_is_well_exits_with_0(spocdb: Run, photos: Path) -> None:
    (photos / "bad.png").unlink()
    result = spocdb("ingest", photos, "--prune", "--retry-failed", "--no-recursive", "--strict")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "3 images: 3 unchanged\nleft out: 1 .csv\n"


def test_a_folder_without_images_is_told(spocdb: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = spocdb("ingest", tmp_path / "empty")
    assert result.returncode == 0
    assert result.stderr == "0 images: none\n"


def test_the_program_writes_nothing_beside_its_caches(
    spocdb: Run, photos: Path, tmp_path: Path
) -> None:
    before = set(tmp_path.rglob("*"))
    spocdb("ingest", photos, cwd=tmp_path)
    spocdb("failures", cwd=tmp_path)
    assert set(tmp_path.rglob("*")) == before


def test_failures_as_a_table_and_as_json(spocdb: Run, photos: Path) -> None:
    header, row = spocdb("failures").stdout.splitlines()
    assert header.split() == ["collection", "reason", "path", "message"]
    assert row.split()[:3] == ["photos", "UnreadableImage", str(photos / "bad.png")]
    (failure,) = json.loads(spocdb("failures", "-c", "photos", "--json").stdout)
    assert failure.keys() == {"collection", "path", "reason", "message", "failed_at"}
    assert failure["path"] == str(photos / "bad.png")
    (row_of_csv,) = csv.DictReader(io.StringIO(spocdb("failures", "--csv").stdout))
    assert row_of_csv.keys() == failure.keys()
    assert (row_of_csv["path"], row_of_csv["message"]) == (failure["path"], failure["message"])
    assert spocdb("failures", "--csv", "--json").returncode == 2


def test_no_failures_is_said_beside_the_data(spocdb: Run) -> None:
    result = spocdb("failures")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "no failures\n")
    assert json.loads(spocdb("failures", "--json").stdout) == []
    assert spocdb("failures", "--csv").stdout.splitlines() == [
        "collection,reason,path,message,failed_at"
    ]


ODD_NAMES = ["new\nline.png", "tab\t.png", "esc\x1b[31m.png", "quote'\".png", "日本語.png"]


def test_odd_names_take_one_line_of_a_table_and_are_themselves_in_json(
    spocdb: Run, db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(0)
    for name in ODD_NAMES:
        (folder / name).write_bytes(b"bad")
    db.ingest(folder, **recipe)
    table = spocdb("failures").stdout
    # Not splitlines, which splits at more than a terminal does.
    assert table.count("\n") == 1 + len(ODD_NAMES)
    assert table.replace("\n", "").isprintable()
    assert "日本語.png" in table
    found = {Path(f["path"]).name for f in json.loads(spocdb("failures", "--json").stdout)}
    assert found == set(ODD_NAMES)


def test_a_terminal_that_is_not_unicode_gets_the_data_all_the_same(
    spocdb_process: Run,
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    environment: dict[str, str],
) -> None:
    folder = make_photos(0)
    (folder / "日本語.png").write_bytes(b"bad")
    db.ingest(folder, **recipe)
    environment["PYTHONIOENCODING"] = "latin-1"
    for arguments in (["failures"], ["failures", "--json"]):
        result = spocdb_process(*arguments, encoding="utf-8")
        assert result.returncode == 0, result.stderr
        assert "日本語.png" in result.stdout


def test_search_as_csv_and_json_is_complete(spocdb: Run, photos: Path) -> None:
    found = json.loads(spocdb("search", "--id", "3", "--json").stdout)
    assert [hit["id"] for hit in found] in ([1, 2], [2, 1])
    rows = list(csv.DictReader(io.StringIO(spocdb("search", "--id", "3", "--csv").stdout)))
    assert [int(row["id"]) for row in rows] == [hit["id"] for hit in found]
    assert [float(row["distance"]) for row in rows] == [hit["distance"] for hit in found]
    assert {row["metadata"] for row in rows} == {'{"year": 1999}', '{"year": 2001}'}


def test_a_filter_is_typed_as_json(spocdb: Run, photos: Path) -> None:
    result = spocdb("search", "--id", "3", "--filter", "year=1999", "--exact", "--json")
    assert [hit["metadata"] for hit in json.loads(result.stdout)] == [{"year": 1999}]
    result = spocdb("search", "--id", "3", "--filter", 'year="1999"')
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "no image has a text as year; there are numbers such as 1999",
        "nothing found",
    ]


def test_a_sheet_is_drawn(spocdb: Run, photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = spocdb("search", "--id", "1", "-k", "2", "--sheet", sheet)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == f"drew {sheet}"
    with Image.open(sheet) as picture:
        assert min(picture.size) > 240
    before = {file: file.read_bytes() for file in photos.iterdir()}
    for asked in (["--id", "1"], [photos / "0001.jpg"]):
        result = spocdb("search", *asked, "-k", "3", "--sheet", photos / "0001.jpg")
        assert result.returncode == 1
        line = f"spocdb: cannot write {photos}/0001.jpg: it is a picture of the sheet: "
        assert result.stderr.splitlines()[-1].startswith(line)
    assert {file: file.read_bytes() for file in photos.iterdir()} == before


def test_extractors_lists_what_is_stored_and_the_presets(spocdb: Run, photos: Path) -> None:
    lines = spocdb("extractors").stdout.splitlines()
    assert lines[0].split()[0] == "extractor"
    assert lines[1].startswith("mini-")
    assert lines[1].endswith("photos")
    assert [line.split()[0] for line in lines[2:]] == [*names()]
    listed = json.loads(spocdb("extractors", "--json").stdout)
    assert listed["stored"][0]["recipe"]["size"] == 64
    assert len(listed["presets"]) == len(names())


def test_collections_are_listed_and_dropped(spocdb: Run, photos: Path) -> None:
    (listed,) = json.loads(spocdb("collections", "list", "--json").stdout)
    assert (listed["name"], listed["n_images"], listed["n_failures"]) == ("photos", 3, 1)
    asked = spocdb("collections", "drop", "photos", input="n\n")
    assert asked.returncode == 1
    assert asked.stderr.splitlines() == [
        "Drop the collection photos with 3 images? [y/N] ",
        "spocdb: nothing was done",
    ]
    assert spocdb("collections", "drop", "photos", "--yes").stdout == "dropped photos\n"
    assert spocdb("collections", "list").stdout.count("\n") == 1


@pytest.mark.parametrize("reader", ["head -n 1", "true"])
@pytest.mark.parametrize("command", ["failures", "failures --json", "ingest --help"])
def test_a_reader_that_has_enough_is_no_error_to_talk_about(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    environment: dict[str, str],
    command: str,
    reader: str,
) -> None:
    # More than a pipe holds, so that the program is still writing when the reader closes it.
    folder = make_photos(0, "x" * 200)
    for i in range(600):
        (folder / f"{i}.png").touch()
    db.ingest(folder, **recipe)
    program = Path(sys.executable).with_name("spocdb")
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"{program}" {command} | {reader}'],
        env=environment | {"SPOCDB_DATABASE_URL": db.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    # A short help fits into a pipe.
    assert run.returncode in ((0, 141) if command == "ingest --help" else (141,))
    assert run.stdout.count("\n") == (reader != "true")
