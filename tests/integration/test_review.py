"""What a person keeps and rejects of near-duplicates: stored by content, exported, undone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.db import connections
from spocdb.errors import ConfigError, DuplicatesNotFound, ImageNotFound
from spocdb.records import Float32Array
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

pytestmark = pytest.mark.servers

AddImages = Callable[..., Any]
NEAR = 0.2


def turned(by: float) -> Float32Array:
    """Return a descriptor at an angle from the first axis, so its distance is 1 - cos."""
    row = np.zeros((1, 32), np.float32)
    row[0, :2] = np.cos(by), np.sin(by)
    return row.astype(np.float16).astype(np.float32)


@pytest.fixture
def reviewed(db: Database, add_images: AddImages) -> Database:
    """Return a database of a group of four images and one of the same bytes.

    1 is the keeper; 2 has its bytes; 3 and 4 are 0.005 and 0.08 from it. 5 and 6 have the same
    bytes. 7 resembles nothing.
    """
    for n, row in enumerate([turned(0), turned(0), turned(0.1), turned(0.4)]):
        add_images(db.connection, row, first=n)
    far = np.eye(32, dtype=np.float32)
    for n, axis in enumerate([5, 5, 9], 4):
        add_images(db.connection, far[axis : axis + 1], first=n)
    db.duplicates.find(distance=NEAR)
    return db


def states(db: Database, **options: Any) -> dict[int, dict[int, str]]:
    """Return of each group how its images stand: kept, rejected, or nothing."""
    return {
        group.keeper.id: {
            image.id: "rejected" if image.is_rejected else "kept" if image.is_kept else ""
            for image in (group.keeper, *group.others)
        }
        for group in db.review.groups(**options)
    }


def exported(db: Database, folder: Path) -> dict[int, list[int]]:
    file = folder / "rejected.jsonl"
    n = db.duplicates.export(file, rejected=True)
    groups = [json.loads(line) for line in file.read_text().splitlines()]
    found = {group["keeper"]["id"]: [one["id"] for one in group["others"]] for group in groups}
    assert n == sum(map(len, found.values()))
    return found


def test_nothing_is_decided_at_first(reviewed: Database, tmp_path: Path) -> None:
    assert states(reviewed) == {1: {1: "", 2: "", 3: "", 4: ""}, 5: {5: "", 6: ""}}
    assert exported(reviewed, tmp_path) == {}
    found = reviewed.review.count()
    assert (found.n_groups, found.n_images, found.n_rejected, found.n_due) == (2, 6, 0, 0)
    assert (found.distance, found.keep) == (NEAR, "pixels, bytes, oldest")


def test_only_what_was_rejected_is_exported(reviewed: Database, tmp_path: Path) -> None:
    reviewed.review.keep({1: [3], 5: [6]})
    assert states(reviewed) == {
        1: {1: "kept", 2: "kept", 3: "rejected", 4: ""},
        # The bytes are the same, and one file of them is kept.
        5: {5: "kept", 6: "rejected"},
    }
    assert exported(reviewed, tmp_path) == {1: [3], 5: [6]}
    assert reviewed.review.count().n_rejected == 2
    # Of the keeper's own bytes all files but the keeper.
    reviewed.review.keep({1: [2]})
    assert exported(reviewed, tmp_path) == {1: [2, 3], 5: [6]}
    reviewed.review.keep({1: [3]}, undo=True)
    assert exported(reviewed, tmp_path) == {1: [2], 5: [6]}
    reviewed.review.keep({1: []}, undo=True)
    assert states(reviewed)[1] == {1: "", 2: "", 3: "", 4: ""}


def test_a_kept_image_comes_first_in_its_group(reviewed: Database, tmp_path: Path) -> None:
    reviewed.review.keep({1: [3]})
    reviewed.review.keep({3: []})
    # 3 was rejected beside 1, and is the keeper now: nothing of it is rejected.
    assert states(reviewed) == {3: {3: "kept", 1: "kept", 2: "kept", 4: ""}, 5: {5: "", 6: ""}}
    assert exported(reviewed, tmp_path) == {}
    # The rule does not change that, the next choice does.
    reviewed.duplicates.find(keep="newest")
    assert next(iter(states(reviewed))) == 3
    reviewed.review.keep({4: [1]})
    assert states(reviewed)[4] == {4: "kept", 3: "kept", 1: "rejected", 2: "rejected"}
    reviewed.review.keep({4: []}, undo=True)
    assert next(iter(states(reviewed))) == 3


def test_choices_are_kept_by_content(
    reviewed: Database, add_images: AddImages, tmp_path: Path
) -> None:
    reviewed.review.keep({3: [1]})
    reviewed.connection.execute("UPDATE spocdb.images SET path = path || '.moved'")
    assert reviewed.delete(1, 2, 3) == 3
    reviewed.duplicates.find()
    assert states(reviewed) == {5: {5: "", 6: ""}}
    for n, row in enumerate([turned(0), turned(0.1)], 20):
        add_images(reviewed.connection, row, first=n)
    reviewed.duplicates.find()
    one, three = sorted(image.id for image in reviewed.images())[-2:]
    assert states(reviewed)[three] == {three: "kept", one: "rejected", 4: ""}
    # Another collection follows with its next find, and another projection with its first one.
    for n, row in enumerate([turned(0), turned(0.1)]):
        add_images(reviewed.connection, row, "others", first=n)
    reviewed.duplicates.find("others", distance=NEAR)
    assert [*states(reviewed, collection="others").values()] == [
        {two: state for two, state in zip(ids, ("kept", "rejected"), strict=True)}
        for ids in [sorted((i.id for i in reviewed.images(collection="others")), reverse=True)]
    ]
    reviewed.pca.activate(reviewed.pca.fit("photos", dim=2, whiten=False), "photos")
    with pytest.raises(DuplicatesNotFound):
        reviewed.review.groups("photos")
    reviewed.duplicates.find("photos", distance=2)
    assert three in states(reviewed, collection="photos")
    kept, gone = three, one
    assert states(reviewed, collection="photos")[kept][gone] == "rejected"


def test_a_rejection_holds_beside_its_keeper_only(reviewed: Database, tmp_path: Path) -> None:
    reviewed.review.keep({1: [4]})
    reviewed.duplicates.decide(1, 4, "different")
    # 4 joins no other group.
    assert 4 not in {id for group in states(reviewed).values() for id in group}
    reviewed.duplicates.decide(1, 4, None)
    assert states(reviewed)[1][4] == "rejected"
    reviewed.duplicates.decide(1, 4, "same")
    (same,) = [image for image in reviewed.review.groups()[0].others if image.is_same]
    assert (same.id, same.distance) == (4, 0)
    assert exported(reviewed, tmp_path) == {1: [4]}
    assert reviewed.delete(1, 2) == 2
    reviewed.duplicates.find()
    assert states(reviewed)[3] == {3: "", 4: ""}


def test_up_to_a_distance(reviewed: Database) -> None:
    reviewed.review.keep({1: [4]})
    assert states(reviewed, distance=0.04) == {1: {1: "kept", 2: "kept", 3: ""}, 5: {5: "", 6: ""}}
    assert states(reviewed, distance=0) == {1: {1: "kept", 2: "kept"}, 5: {5: "", 6: ""}}
    counted = [reviewed.review.count(distance=d) for d in (0, 0.04, 2)]
    assert [(c.n_groups, c.n_images, c.n_rejected) for c in counted] == [
        *((2, 4, 0), (2, 5, 0), (2, 6, 1)),
    ]
    assert reviewed.delete(2) == 1
    assert [*states(reviewed, distance=0)] == [5]
    assert reviewed.review.group(4, distance=0.001) is None


def test_pages_and_their_bounds(reviewed: Database) -> None:
    assert [*states(reviewed, n=1)] == [1]
    assert [*states(reviewed, n=1, after=1)] == [5]
    assert states(reviewed, n=1, after=5) == {}
    (group,) = reviewed.review.groups(n=1, members=2)
    assert (group.n_others, [image.id for image in group.others]) == (3, [2])
    found = reviewed.review.group(4)
    assert found is not None and found.keeper.id == 1
    assert reviewed.review.group(7) is None
    with pytest.raises(ImageNotFound):
        reviewed.review.group(99)


def test_what_cannot_be_kept(reviewed: Database) -> None:
    with pytest.raises(ConfigError, match="image 1 cannot be rejected beside itself"):
        reviewed.review.keep({1: [3, 1]})
    with pytest.raises(ImageNotFound, match="has no image 99"):
        reviewed.review.keep({5: [6], 1: [99]})
    assert reviewed.review.count().n_rejected == 0


def test_the_commands(reviewed: Database, spocdb: Run, tmp_path: Path) -> None:
    ran = spocdb("duplicates", "keep", 1, 3, 4)
    assert ran.returncode == 0 and "1: kept, 2 rejected" in ran.stderr, ran.stderr
    assert spocdb("duplicates", "keep", 1, 4, "--undo").returncode == 0
    script = tmp_path / "move.sh"
    ran = spocdb("duplicates", "export", script, "--rejected", "--move-to", tmp_path / "away")
    assert ran.returncode == 0 and "1 duplicate" in ran.stderr, ran.stderr
    moves = [line for line in script.read_text().splitlines() if line.startswith("move /")]
    assert [line.split()[1:3] for line in moves] == [["/photos/000000.jpg", "/photos/000002.jpg"]]
    assert spocdb("duplicates", "keep", 1, 1).returncode == 1


def test_a_reader_sees_what_was_chosen_in_its_collection(
    granted: Any,
    roles: dict[str, str],
    log_in: Callable[[str], connections.Connection],
    spocdb: Run,
    url: str,
) -> None:
    for name in ("products", "secret"):
        granted.db.duplicates.find(name, distance=2)
        keeper = granted.db.review.groups(name)[0]
        granted.db.review.keep({keeper.keeper.id: [keeper.others[0].id]}, collection=name)
    reader = log_in(roles["reader"])
    own = "SELECT * FROM spocdb.duplicate_review('products')"
    rows = reader.execute(own).fetchall()
    assert rows == granted.execute(own).fetchall() and True in {row[5] for row in rows}
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not read collection"):
        reader.execute("SELECT * FROM spocdb.duplicate_review('secret')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SELECT FROM spocdb.duplicate_choices")
    ran = spocdb("duplicates", "keep", 1, "--db", make_conninfo(url, user=roles["reader"]))
    assert ran.returncode == 1 and "right" in ran.stderr, ran.stderr
