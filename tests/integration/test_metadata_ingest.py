"""Metadata of a CSV or JSON-lines file are stored with the images, and can be filtered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import collections, images
from spocdb.errors import ConfigError
from tests.fixtures.opened import Database

Recipe = dict[str, Any]


@pytest.fixture
def folder(make_photos: Callable[..., Path]) -> Path:
    return make_photos(3)


def stored(db: Database) -> dict[str, dict[str, Any]]:
    rows = db.connection.execute("SELECT path, metadata FROM spocdb.photos")
    return {Path(path).name: metadata for path, metadata in rows}


def test_a_csv_gives_images_metadata_that_searches_filter_by(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    about = tmp_path / "about.csv"
    about.write_text("path,title,year,rights\n0000.jpg,Meer,1999,true\nphotos/0001.jpg,Wald,2.5,\n")
    db.ingest(folder, metadata=about, **recipe)
    assert stored(db) == {
        "0000.jpg": {"title": "Meer", "year": 1999, "rights": True},
        "0001.jpg": {"title": "Wald", "year": 2.5},
        "0002.jpg": {},
    }
    (hit,) = db.search(folder / "0001.jpg", filter={"year": 1999})
    assert hit.path == str(folder / "0000.jpg")


def test_json_lines_with_absolute_paths_keep_their_types(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    about = tmp_path / "about.jsonl"
    metadata = {"tags": ["a", 'quote"', "tab\t\\"], "deep": {"n": None}, "title": "日本"}
    about.write_text(json.dumps({"path": str(folder / "0002.jpg"), **metadata}))
    db.ingest(folder, metadata=about, **recipe)
    assert stored(db)["0002.jpg"] == metadata
    assert len(db.search(folder / "0000.jpg", filter={"deep": {"n": None}})) == 1


def test_metadata_of_unchanged_images_can_change(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    about = tmp_path / "about.csv"
    about.write_text("path,year\n0000.jpg,1\n0001.jpg,1\n")
    db.ingest(folder, metadata=about, **recipe)
    about.write_text("path,place\n0000.jpg,Ulm\n")
    assert db.ingest(folder, metadata=about).n_unchanged == 3
    # Images that the file does not name keep their metadata; the others' are replaced.
    assert stored(db) == {"0000.jpg": {"place": "Ulm"}, "0001.jpg": {"year": 1}, "0002.jpg": {}}


def test_without_a_metadata_file_nothing_is_forgotten(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "about.csv").write_text("path,year\n0000.jpg,1\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    db.ingest(folder)
    assert stored(db)["0000.jpg"] == {"year": 1}


def test_metadata_belongs_to_one_collection(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "about.csv").write_text("path,year\n0000.jpg,1\n")
    db.ingest(folder, **recipe)
    db.ingest(folder, collection="other", metadata=tmp_path / "about.csv", **recipe)
    assert stored(db)["0000.jpg"] == {}


def test_rows_without_an_image_are_told(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "about.csv").write_text("path,year\n0000.jpg,1\nnowhere.jpg,2\n")
    nowhere = tmp_path / "nowhere.jpg"
    said.clear()
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    assert said[:3] == [
        # Logged before the first image is read, so that wrong paths are noticed early.
        f"metadata: 2 rows read, 1 of them for a missing file, such as {nowhere}",
        "metadata: 1 image changed",
        f"metadata: 1 row without an image, such as {nowhere}",
    ]
    assert stored(db)["0000.jpg"] == {"year": 1}


def test_rows_are_matched_as_sets_and_not_one_by_one(
    db: Database, recipe: Recipe, folder: Path
) -> None:
    db.ingest(folder, **recipe)
    rows = ((f"/nowhere/{n}.jpg", {"n": n}) for n in range(20_000))
    images.stage_metadata(db.connection, rows)
    plan = db.connection.execute(f"EXPLAIN {images.MATCH_METADATA}", [1]).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Hash" in text or "Merge" in text
    assert "Nested Loop" not in text
    target = collections.get(db.connection, "photos")
    found = images.apply_metadata(db.connection, target)
    assert found == (0, 20_000, "/nowhere/0.jpg")
    # One message for any number of rows; none of them is stored.
    assert images.apply_metadata(db.connection, target) == found


def test_of_two_rows_for_one_image_the_last_counts(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "about.csv").write_text("path,year\n0000.jpg,1\nphotos/0000.jpg,2\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    assert stored(db)["0000.jpg"] == {"year": 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "path,year\n0000.jpg,1,2\n", "line 2: more cells than columns"),
        ("a.csv", "file,year\n0000.jpg,1\n", "has no column `path`; there are: file, year"),
        ("a.csv", 'path,year\n0000.jpg,"1\n', "line 2: unexpected end of data"),
        ("a.jsonl", '{"path": "0000.jpg"}\n{"path": 5}\n', "line 2: no `path`"),
        ("a.jsonl", '\n{"path": "0000.jpg", }\n', "line 2: "),
        ("a.jsonl", '["0000.jpg"]\n', "line 1: not an object"),
        ("a.jsonl", '{"path": "0000.jpg", "x": NaN}\n', "line 1: NaN is no JSON"),
        ("a.jsonl", '{"path": "0000.jpg", "x": 1e999}\n', "line 1: "),
        ("a.jsonl", '{"path": "0000.jpg", "x": ' + "[" * 99_999, "line 1: "),
        ("a.txt", "", r"is no metadata file: give a \.csv or a \.jsonl"),
    ],
    ids=lambda text: text[:40] if isinstance(text, str) else None,
)
def test_a_bad_file_is_refused_before_anything_is_made(
    db: Database,
    recipe: Recipe,
    folder: Path,
    tmp_path: Path,
    name: str,
    content: str,
    message: str,
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        db.ingest(folder, metadata=tmp_path / name, **recipe)
    assert "\n" not in str(caught.value)
    assert db.collections() == []


def test_a_row_with_what_postgresql_cannot_hold_is_stored_without_it(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    rows = [
        {"path": "0000.jpg", "x\0": ["a\0b", {"y": "\ud800"}]},
        {"path": "\ud800\0.jpg", "x": 1},
        {"path": "0001.jpg", "x": 1},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    db.ingest(folder, metadata=tmp_path / "a.jsonl", **recipe)
    assert stored(db)["0000.jpg"] == {"x\ufffd": ["a\ufffdb", {"y": "\ufffd"}]}
    assert stored(db)["0001.jpg"] == {"x": 1}


def test_a_file_that_is_not_utf_8_is_refused(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(b"path,title\n0000.jpg,caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8: convert it first"):
        db.ingest(folder, metadata=tmp_path / "a.csv", **recipe)


def test_deeply_nested_text_in_a_csv_is_a_text(
    db: Database, recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    nested = "[" * 100_000
    (tmp_path / "a.csv").write_text(f"path,x\n0000.jpg,{nested}\n")
    db.ingest(folder, metadata=tmp_path / "a.csv", **recipe)
    assert stored(db)["0000.jpg"] == {"x": nested}
