"""Near-duplicates of hostile names, rules, metadata and arguments."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.errors import ConfigError
from tests.fixtures.copies import NEAR, shown
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

NAMES = [
    "<img src=x onerror=alert(1)>.jpg",
    "a\nb.jpg",
    "\x1b[2J\x07.jpg",
    "\u202egpj.exe.jpg",
    "'; DROP TABLE images; --.jpg",
    '"quoted", and comma.jpg',
    "$(touch bad) `id` %s {0} \\.jpg",
]
# The last one ends in the middle of a character.
NOT_UTF8 = b"caf\xc3.jpg"


@pytest.fixture
def named(db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]) -> Database:
    """Return a database of copies of one picture with hostile names, in one group."""
    folder = make_photos(1)
    content = (folder / "0000.jpg").read_bytes()
    for name in NAMES:
        (folder / name).write_bytes(content)
    (folder / NOT_UTF8.decode("utf-8", "surrogateescape")).write_bytes(content)
    progress = db.ingest(folder, **recipe)
    assert (progress.n_done, progress.n_failed) == (len(NAMES) + 2, 1)
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = jsonb_build_object(path, '<b>' || path)"
    )
    db.duplicates.find()
    return db


def test_every_name_is_a_row_of_its_own(named: Database, spocdb: Run, tmp_path: Path) -> None:
    (group,) = named.duplicates.groups()
    images = [group.keeper, *group.others]
    assert {Path(image.path).name for image in images} == {"0000.jpg", *NAMES}
    for command in (["list"], ["show", group.keeper.id], ["take-over"]):
        ran = spocdb("duplicates", *command)
        assert ran.returncode == 0, ran.stderr
        assert not {*ran.stdout} & {"\x1b", "\x07", "\u202e"}
        n_rows = {"list": 1, "show": len(images), "take-over": len(NAMES)}[str(command[0])]
        assert len(ran.stdout.split("\n")) == n_rows + 2
    for file in ("a.csv", "a.jsonl"):
        assert named.duplicates.export(tmp_path / file) == len(NAMES)
    with (tmp_path / "a.csv").open(newline="") as lines:
        assert [row["path"] for row in csv.DictReader(lines)] == [image.path for image in images]
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [image["path"] for image in json.loads(line)["others"]] == [
        image.path for image in group.others
    ]


def test_metadata_are_taken_over_as_they_are(named: Database) -> None:
    (group,) = named.duplicates.groups()
    (metadata,) = named.connection.execute(
        "SELECT metadata FROM spocdb.images WHERE id = %s", [group.keeper.id]
    ).fetchone() or ({},)
    assert named.duplicates.take_over(keys=["$1", "%s", "a'b", '"', "{}", ""]) == []
    path = group.others[0].path
    (offer,) = named.duplicates.take_over(keys=[path])
    assert (offer.key, offer.value, offer.is_taken) == (path, f"<b>{path}", True)
    for image in group.others:
        metadata[image.path] = f"<b>{image.path}"
    named.duplicates.take_over()
    (found,) = named.connection.execute(
        "SELECT metadata FROM spocdb.images WHERE id = %s", [group.keeper.id]
    ).fetchone() or ({},)
    assert found == metadata
    for key in ("a\0b", "\udcff"):
        with pytest.raises(ConfigError, match=r"NUL character|is not UTF-8"):
            named.duplicates.take_over(keys=[key])


def test_a_rule_is_no_sql(crowd: Database) -> None:
    duplicates = crowd.duplicates
    found = duplicates.find(distance=NEAR)
    for rule in (
        'key:it\'s "x" %s %(a)s {value} $1 --',
        "folder:/'; DROP TABLE spocdb.images; --",
        "suffix:')) --",
        "-key:\\",
        "key:" + "x" * 3000,
    ):
        assert duplicates.find(keep=rule).n_groups == found.n_groups
    groups = shown(duplicates)
    for rule, said in [
        ("", "keep has a term '', which is none of pixels, bytes"),
        ("pixels,,bytes", "keep has a term ''"),
        ("folder:", "keep has a term 'folder:'"),
        ("--pixels", "keep has a term '--pixels'"),
        (", ".join(["pixels"] * 21), "keep has more than 20 terms"),
        ("key:" + "x" * 5000, "keep has more than 4,000 characters"),
    ]:
        with pytest.raises(ConfigError, match=said):
            duplicates.find(keep=rule)
    for rule in ("key:a\0b", "folder:/\udcff"):
        with pytest.raises(ConfigError, match=r"NUL character|is not UTF-8"):
            duplicates.find(keep=rule)
    assert shown(duplicates) == groups and duplicates.summary().keep == "key:" + "x" * 3000


ODD = [
    ("duplicate_groups('photos', NULL)", 0),
    ("duplicate_groups('photos', -1, NULL)", 21),
    ("duplicate_groups('photos', 9223372036854775807)", 0),
    ("duplicate_groups('photos', 0, 0)", 0),
    ("collapse('photos', NULL)", 0),
    ("collapse('photos', '{NULL,1,1}')", 2),
    ("search_collapsed('photos', NULL)", 0),
    ("search_collapsed('photos', spocdb.embedding('photos', 1), NULL, left_out => NULL)", 10),
    ("search_collapsed('photos', spocdb.embedding('photos', 1), left_out => '{NULL,1}')", 10),
    ("search_collapsed('photos', spocdb.embedding('photos', 1), 2147483647)", 60),
    ("search_collapsed('photos', spocdb.embedding('photos', 1), 0)", 0),
]
WRONG = [
    ("duplicate_groups(NULL)", "there is no collection named"),
    ("duplicate_groups('photos', 0, -1)", "LIMIT must not be negative"),
    ("near_duplicates('photos', NULL)", "collection photos has no image"),
    ("near_duplicates('photos', -1)", "collection photos has no image -1"),
    ("near_duplicates('a''b\"', 1)", "there is no collection named"),
    ("collapse('nobody', '{1}')", "there is no collection named nobody"),
    ("search_collapsed('photos', '[1,0]')", "collection photos has embeddings of 64 dim"),
    ("search_collapsed('photos', '[NaN]')", "NaN not allowed in vector"),
]


def test_odd_arguments_of_the_functions(crowd: Database) -> None:
    crowd.duplicates.find(distance=NEAR)
    for call, n in ODD:
        found = crowd.connection.execute(f"SELECT * FROM spocdb.{call}").fetchall()
        assert len(found) == n, call
    for call, said in WRONG:
        with pytest.raises(psycopg.Error, match=said):
            crowd.connection.execute(f"SELECT * FROM spocdb.{call}")
