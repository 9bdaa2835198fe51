"""Keepers take over the metadata that they lack from their duplicates."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from tests.fixtures.copies import NEAR
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

# Of the group of image 1, with 71 (the same bytes) and 61 (farther).
SAID: dict[int, dict[str, Any]] = {
    1: {"title": "Sea", "width": 4, "deep": {"a": 1}, "none": None},
    71: {"title": "See", "year": 1999, "deep": {"a": 1}, "width": 2, "void": None},
    61: {"title": "Sea", "year": 2001, "place": "Ulm", "none": 5},
    62: {"stars": 5},
}


@pytest.fixture
def described(crowd: Database) -> Database:
    """Return the crowd with groups, and metadata of some of its images."""
    crowd.duplicates.find(distance=NEAR)
    for id, said in SAID.items():
        crowd.connection.execute(
            "UPDATE spocdb.images SET metadata = %s WHERE id = %s", [json.dumps(said), id]
        )
    return crowd


def metadata(db: Database) -> dict[int, Any]:
    """Return the metadata of the images that have some."""
    rows = db.connection.execute("SELECT id, metadata FROM spocdb.images WHERE metadata <> '{}'")
    return dict(rows.fetchall())


def test_a_keeper_takes_what_it_lacks_from_the_nearest(described: Database) -> None:
    offers = described.duplicates.take_over(dry_run=True)
    assert metadata(described) == SAID
    assert described.duplicates.take_over() == offers
    assert [(o.keeper_id, o.key, o.value, o.from_id, o.is_taken, o.kept) for o in offers] == [
        (1, "none", 5, 61, False, None),
        (1, "place", "Ulm", 61, True, None),
        (1, "title", "See", 71, False, "Sea"),
        (1, "year", 1999, 71, True, None),
        (1, "year", 2001, 61, False, 1999),
        (2, "stars", 5, 62, True, None),
    ]
    taken = SAID | {1: SAID[1] | {"place": "Ulm", "year": 1999}, 2: {"stars": 5}}
    assert metadata(described) == taken
    # Again, nothing is left to take.
    assert not any(offer.is_taken for offer in described.duplicates.take_over())
    assert metadata(described) == taken


def test_some_keys_alone(described: Database, caplog: pytest.LogCaptureFixture) -> None:
    assert [offer.key for offer in described.duplicates.take_over(keys=["stars"])] == ["stars"]
    assert metadata(described) == SAID | {2: {"stars": 5}}
    assert described.duplicates.take_over(keys=["star"]) == []
    assert "no image has the key star; there are deep, none, place, stars" in caplog.text


def test_it_stays_when_files_are_ingested_again(
    db: Database, copied_photos: Path, recipe: dict[str, Any], tmp_path: Path
) -> None:
    about = tmp_path / "about.csv"
    about.write_text("path,title,place\n0000.jpg,Sea,\nb/copy.jpg,See,Ulm\n")
    db.ingest(copied_photos, metadata=about, **recipe)
    db.duplicates.find()
    assert sum(offer.is_taken for offer in db.duplicates.take_over()) == 1

    def said() -> Any:
        statement = "SELECT metadata FROM spocdb.images WHERE path LIKE '%/0000.jpg'"
        return (db.connection.execute(statement).fetchone() or ())[0]

    whole = {"title": "Sea", "place": "Ulm"}
    assert said() == whole
    # The file of the metadata replaces what it gave, and nothing else; the copies are pruned.
    (copied_photos / "b" / "copy.jpg").unlink()
    about.write_text("path,title\n0000.jpg,Lake\n")
    assert db.ingest(copied_photos, metadata=about, prune=True).n_pruned == 1
    assert said() == whole | {"title": "Lake"}
    # A file that was touched, and one that is moved.
    content = (copied_photos / "0000.jpg").read_bytes()
    (copied_photos / "0000.jpg").unlink()
    (copied_photos / "c").mkdir()
    (copied_photos / "c" / "0000.jpg").write_bytes(content)
    assert db.ingest(copied_photos).n_moved == 1
    assert said() == whole | {"title": "Lake"}
    # The user's word counts, and what is forgotten there comes back.
    about.write_text("path,place\nc/0000.jpg,Bonn\n")
    db.ingest(copied_photos, metadata=about)
    assert said() == {"place": "Bonn"}
    about.write_text("path,title\nc/0000.jpg,Lake\n")
    db.ingest(copied_photos, metadata=about)
    assert said() == whole | {"title": "Lake"}


def test_exif_goes_with_other_bytes(
    db: Database, copied_photos: Path, recipe: dict[str, Any]
) -> None:
    db.ingest(copied_photos, exif=True, **recipe)
    db.duplicates.find()
    assert db.duplicates.take_over() == []
    db.connection.execute(
        'UPDATE spocdb.images SET metadata = metadata || \'{"camera": "X", "mine": 1}\' '
        "WHERE path LIKE '%/copy.jpg'"
    )
    assert sum(offer.is_taken for offer in db.duplicates.take_over()) == 2
    keeper = copied_photos / "0000.jpg"
    keeper.write_bytes((copied_photos / "0007.jpg").read_bytes())
    about = copied_photos.parent / "about.csv"
    about.write_text("path,title\n0000.jpg,Sea\n")
    db.ingest(copied_photos, exif=True, metadata=about)
    (said,) = db.connection.execute(
        "SELECT metadata FROM spocdb.images WHERE path = %s", [str(keeper)]
    ).fetchone() or ({},)
    assert {"title", "mine", "width"} <= said.keys() and "camera" not in said


def test_the_metadata_of_a_table_are_its_columns(stocked: Any) -> None:
    stocked.db.duplicates.find()
    with pytest.raises(ConfigError, match="from columns of products: change the rows"):
        stocked.db.duplicates.take_over()


def test_the_command(described: Database, spocdb: Run) -> None:
    ran = spocdb("duplicates", "take-over", "--dry-run")
    assert ran.returncode == 0, ran.stderr
    assert "3 values would be taken over; 3 others stay where the keeper has another" in ran.stderr
    assert metadata(described) == SAID
    ran = spocdb("duplicates", "take-over", "--key", "year", "--key", "title", "--csv")
    assert [*csv.reader(ran.stdout.splitlines())][1:] == [
        ["1", "/photos/000000.jpg", "title", "See", "71", "Sea"],
        ["1", "/photos/000000.jpg", "year", "1999", "71", ""],
        ["1", "/photos/000000.jpg", "year", "2001", "61", "1999"],
    ]
    assert "1 value was taken over; 2 others stay" in ran.stderr
    ran = spocdb("duplicates", "take-over", "--json")
    assert [offer["key"] for offer in json.loads(ran.stdout) if offer["is_taken"]] == [
        "place",
        "stars",
    ]
    ran = spocdb("duplicates", "take-over")
    assert ran.stdout.splitlines()[0].split() == ["keeper", "path", "key", "value", "from", "kept"]
