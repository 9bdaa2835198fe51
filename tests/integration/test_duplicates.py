"""Near-duplicates of a collection: found, grouped around keepers, kept up to date."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.errors import ConfigError, InvalidValue
from spocdb.records import Float32Array
from tests.fixtures.copies import NEAR, AddImages, copies, shown
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

pytestmark = pytest.mark.servers


def test_at_first_the_same_bytes_are_duplicates(crowd: Database) -> None:
    found = crowd.duplicates.find()
    assert (found.n_groups, found.n_images, found.n_extra, found.n_due) == (1, 2, 1, 0)
    assert found.distance is None
    assert shown(crowd.duplicates) == {1: [71]}


def test_what_is_near_is_a_group(crowd: Database) -> None:
    found = crowd.duplicates.find(distance=NEAR)
    assert (found.n_groups, found.n_images, found.extra_bytes) == (10, 21, 11)
    assert shown(crowd.duplicates) == {n: [n + 60] for n in range(2, 11)} | {1: [61, 71]}
    group = crowd.duplicates.group(61)
    assert group is not None
    assert [image.id for image in (group.keeper, *group.others)] == [1, 71, 61]
    assert group.others[0].distance == 0 < group.others[1].distance <= NEAR
    assert crowd.duplicates.group(30) is None
    # The same bytes again.
    assert crowd.duplicates.find(distance=NEAR) == found
    # Another distance is another search.
    assert crowd.duplicates.find(distance=1e-9).n_groups == 1


def test_large_groups_are_cut_where_it_is_asked_for(crowd: Database) -> None:
    crowd.duplicates.find(distance=NEAR)
    every = [*crowd.duplicates.groups()]
    assert [group.n_others for group in every] == [len(group.others) for group in every]
    cut = [*crowd.duplicates.groups(members=2)]
    assert [(group.keeper, group.n_others) for group in cut] == [
        (group.keeper, group.n_others) for group in every
    ]
    assert [group.others for group in cut] == [group.others[:1] for group in every]
    with pytest.raises(InvalidValue, match="members must be 2 or more, or None, not 1"):
        next(crowd.duplicates.groups(members=1))


def test_sql_gives_the_same_groups(crowd: Database) -> None:
    crowd.duplicates.find(distance=NEAR)
    rows = crowd.connection.execute(
        "SELECT keeper_id, array_agg(image_id ORDER BY image_id) "
        "FROM spocdb.duplicate_groups('photos') WHERE image_id <> keeper_id GROUP BY 1"
    )
    assert dict(rows.fetchall()) == shown(crowd.duplicates)
    near = crowd.connection.execute("SELECT id, distance FROM spocdb.near_duplicates('photos', 61)")
    (one, apart), (other, _) = near.fetchall()
    assert {one, other} == {1, 71} and 0 < apart <= NEAR


@pytest.mark.parametrize("function", ["duplicate_groups('photos')", "near_duplicates('photos', 1)"])
def test_sql_says_that_nobody_looked(crowd: Database, function: str) -> None:
    with pytest.raises(psycopg.Error, match="no duplicates of collection photos were looked for"):
        crowd.connection.execute(f"SELECT * FROM spocdb.{function}")
    crowd.duplicates.find()
    with pytest.raises(psycopg.Error, match="collection photos has no image 999"):
        crowd.connection.execute("SELECT * FROM spocdb.near_duplicates('photos', 999)")


def test_the_rule_decides_what_is_kept(crowd: Database) -> None:
    crowd.connection.execute("UPDATE spocdb.images SET width = 2 * width WHERE id = 62")
    crowd.connection.execute("UPDATE spocdb.images SET size = 9 WHERE id = 63")
    crowd.connection.execute("UPDATE spocdb.images SET path = '/zest/a.PNG' WHERE id = 64")
    crowd.connection.execute("UPDATE spocdb.images SET metadata = '{\"stars\": 5}' WHERE id = 65")
    duplicates = crowd.duplicates
    for rule, kept in [
        ("pixels, bytes", {62, 63}),
        ("bytes", {63}),
        ("-pixels", set()),
        ("folder:/zest/", {64}),
        ("suffix:png", {64}),
        ("suffix:.PNG", {64}),
        ("-suffix:png", set()),
        ("key:stars", {65}),
        ("-key:stars", {65}),
        ("-oldest", {*range(62, 72)}),
        ("newest", {*range(62, 72)}),
    ]:
        duplicates.find(distance=NEAR, keep=rule)
        assert {keeper for keeper in shown(duplicates) if keeper > 60} == kept, rule
    with pytest.raises(ConfigError, match="keep has a term 'width', which is none of pixels"):
        duplicates.find(keep="width")


def test_the_rule_follows_what_it_looks_at(crowd: Database) -> None:
    """Paths, dates and metadata that change are noted, and grouped without being compared."""
    execute, duplicates = crowd.connection.execute, crowd.duplicates
    changes = "SELECT is_compared, encode(sha256, 'hex') FROM spocdb.duplicate_changes"

    def kept() -> list[int]:
        duplicates.find()
        return [keeper for keeper in shown(duplicates) if keeper > 60]

    duplicates.find(distance=NEAR, keep="folder:/best, oldest")
    assert kept() == []
    execute("UPDATE spocdb.images SET path = '/best/' || id WHERE id IN (62, 30)")
    # Image 30 is near no other.
    assert len(execute(changes).fetchall()) == 1
    assert duplicates.summary().n_due == 1
    assert kept() == [62]
    execute("UPDATE spocdb.images SET ingested_at = now() WHERE id IN (3, 4)")
    assert kept() == [62, 63, 64]
    # Metadata count if the rule names a key of them.
    execute("UPDATE spocdb.images SET metadata = '{\"stars\": 1}' WHERE id = 65")
    assert execute(changes).fetchall() == []
    duplicates.find(keep="key:stars, folder:/best, oldest")
    assert kept() == [62, 63, 64, 65]
    execute("UPDATE spocdb.images SET metadata = '{\"stars\": 2}' WHERE id = 5")
    assert execute(changes).fetchall() != []
    execute("UPDATE spocdb.images SET metadata = metadata, path = path")
    assert [is_compared for is_compared, _ in execute(changes)] == [True]
    assert kept() == [62, 63, 64]
    # The same as if everything was found again.
    found = shown(duplicates)
    duplicates.find(again=True)
    assert shown(duplicates) == found


def test_what_is_added_later_joins(
    crowd: Database, add_images: AddImages, originals: Float32Array
) -> None:
    crowd.duplicates.find(distance=NEAR)
    add_images(crowd.connection, copies(originals[40:45], seed=3), first=80)
    assert crowd.duplicates.summary().n_due == 5
    crowd.duplicates.find()
    found = shown(crowd.duplicates)
    assert {keeper: others for keeper, others in found.items() if keeper > 11} == {
        41 + n: [72 + n] for n in range(5)
    }
    # The same as if everything was found at once.
    crowd.connection.execute("DELETE FROM spocdb.duplicate_searches")
    crowd.duplicates.find(distance=NEAR)
    assert shown(crowd.duplicates) == found


def test_a_keeper_that_goes_is_replaced(crowd: Database) -> None:
    crowd.duplicates.find(distance=NEAR)
    crowd.delete(1)
    # The first by path of the two that are left.
    assert shown(crowd.duplicates)[61] == [71]
    # By SQL alone: nobody has grouped the rest yet, and no group has one image.
    crowd.connection.execute("DELETE FROM spocdb.images WHERE id IN (71, 62)")
    assert all(len(others) > 0 for others in shown(crowd.duplicates).values())
    assert {61, 71, 62, 2}.isdisjoint(shown(crowd.duplicates))
    assert crowd.duplicates.summary().n_groups == 8
    crowd.duplicates.find()
    assert {61, 71, 62, 2}.isdisjoint(shown(crowd.duplicates))


def test_many_copies_are_all_found(
    db: Database, add_images: AddImages, originals: Float32Array
) -> None:
    add_images(db.connection, originals)
    for seed in range(100):
        add_images(db.connection, copies(originals[:1], seed), first=100 + seed)
    db.index.build()
    found = db.duplicates.find(distance=NEAR)
    assert (found.n_groups, found.n_images) == (1, 101)


@pytest.mark.slow
def test_a_distance_that_joins_everything_is_refused(
    db: Database, add_images: AddImages, clustered: Callable[..., Float32Array]
) -> None:
    add_images(db.connection, clustered(1200))
    with pytest.raises(InvalidValue, match="distance must be smaller: half of the images have"):
        db.duplicates.find(distance=1.9)
    for distance in (-0.1, 2.1, float("nan")):
        with pytest.raises(InvalidValue, match="distance must be 0 to 2"):
            db.duplicates.find(distance=distance)


def test_the_commands(
    db: Database, tmp_path: Path, copied_photos: Path, recipe: dict[str, Any], spocdb: Run
) -> None:
    db.ingest(copied_photos, **recipe)
    ran = spocdb("duplicates", "find", "--distance", 0.001)
    assert ran.returncode == 0, ran.stderr
    assert "photos: 2 groups of 5 images; 3 images beside the keepers" in ran.stdout
    listed = json.loads(spocdb("duplicates", "list", "--json").stdout)
    assert [len(group["others"]) for group in listed] == [2, 1]
    keeper = listed[0]["keeper"]["id"]
    ran = spocdb("duplicates", "show", keeper)
    assert ran.stdout.splitlines()[1].split()[:2] == ["0.0000", str(keeper)]
    assert len(ran.stdout.splitlines()) == 4
    # A copy that comes later is found by the ingest itself.
    (copied_photos / "later.jpg").write_bytes((copied_photos / "0005.jpg").read_bytes())
    assert spocdb("ingest", copied_photos).returncode == 0
    assert db.duplicates.summary().n_groups == 3
    one, other = listed[1]["keeper"]["id"], listed[1]["others"][0]["id"]
    assert spocdb("duplicates", "decide", one, other, "keep-both").returncode == 0
    assert db.duplicates.summary().n_groups == 2
    assert spocdb("duplicates", "decide", one, other, "undecided").returncode == 0
    assert db.duplicates.summary().n_groups == 3
