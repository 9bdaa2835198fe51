"""`spocdb bench`: consistent figures, nothing left behind, errors in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.bench.measure import COLLECTION, Options, measure
from spocdb.errors import ConfigError
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Run = Callable[..., Any]

QUICK = ["--extractor", "mini", "--size", "64", "--seconds", "0.1"]
STAGES = ["read", "decode", "network", "write"]


def counts(db: Database) -> list[int]:
    """Return the number of rows of each table that an ingest writes to."""
    tables = ("extractors", "projections", "collections", "images", "descriptors", "runs")
    rows = (db.connection.execute(f"SELECT count(*) FROM spocdb.{t}").fetchone() for t in tables)
    return [row[0] for row in rows if row]


def test_a_folder_is_measured_and_nothing_is_left(
    spocdb: Run, db: Database, make_photos: Make, recipe: dict[str, Any]
) -> None:
    folder = make_photos(40)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff bad")
    (folder / "broken link.jpg").symlink_to("nowhere.jpg")
    # Stored descriptors must not make the measurement faster.
    db.ingest(folder, **recipe)
    before = counts(db)
    done = spocdb("bench", folder, *QUICK)
    assert done.returncode == 0, done.stderr
    header, *rows, last = done.stdout.splitlines()
    assert header.split() == ["stage", "images/s", "used"]
    assert [row.split()[0] for row in rows] == STAGES
    assert last.split()[0] == "ingest" and float(last.split()[1]) > 0
    assert "limited by the" in done.stderr and "then by the" in done.stderr
    assert counts(db) == before


def test_without_images_it_makes_some_and_json_holds_all(spocdb: Run, db: Database) -> None:
    done = spocdb("bench", *QUICK, "--device", "cpu", "--precision", "float32", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [stage["name"] for stage in told["stages"]] == STAGES
    slowest = min(told["stages"], key=lambda stage: stage["per_second"])
    assert told["limit"] == slowest["name"]
    assert told["shares"][slowest["name"]] == max(told["shares"].values())
    assert (told["machine"]["precision"], told["machine"]["size"]) == ("float32", 64)
    assert told["machine"]["megapixels"] == pytest.approx(1024 * 768 / 1e6)
    assert told["n_images"] >= 16 and told["n_failed"] == 0
    assert db.collections() == [] and db.extractors() == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "spocdb: no such file or folder: {here}/nowhere"),
        (["empty"], "spocdb: there are no images under empty"),
        (["bad"], "spocdb: none of these images can be decoded: "),
        (["--extractor", "x"], "spocdb: unknown extractor 'x'"),
        (["--extractor", "mobilenet_v1"], "spocdb: no weights of mobilenet_v1 are available"),
        (["--extractor", "mini", "--weights", "no.pth"], "spocdb: cannot read the weights no.pth"),
        (["--extractor", "mini", "--device", "cuda:9"], "spocdb: no device 'cuda:9'"),
        (["--extractor", "mini", "--precision", "x"], "spocdb: unknown precision 'x'"),
        (["--db", "postgresql://localhost:1/x"], "spocdb: cannot reach the database: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_measured_is_one_line(
    spocdb: Run, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.jpg").write_bytes(b"\xff\xd8\xff bad")
    if arguments == ["bad"]:
        arguments = [*arguments, "--extractor", "mini"]
    done = spocdb("bench", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith(line.format(here=tmp_path))


def test_somebodys_own_collection_of_that_name_is_not_touched(
    db: Database, make_photos: Make, recipe: dict[str, Any]
) -> None:
    folder = make_photos(3)
    db.ingest(folder, collection=COLLECTION, **recipe)
    with pytest.raises(ConfigError, match=f"the name {COLLECTION} is needed for a moment"):
        measure(db, [folder], Options("mini", recipe={"size": 64}, seconds=0.1))
    assert [(c.name, c.n_images) for c in db.collections()] == [(COLLECTION, 3)]
