"""Thresholds that are measured on a collection's own pictures, and duplicates of a level."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from psycopg.conninfo import make_conninfo

from spocdb.errors import ConfigError, InvalidValue, NotEnoughSamples, RightMissing
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.fixtures.shop import Shop

N = 16
# What N pictures are enough for.
ASKED: dict[str, Any] = {"images": 14, "precision": 0.9}
# What a few are enough for.
FEW: dict[str, Any] = {"images": 6, "precision": 0.6}


@pytest.fixture
def photos(make_photos: Callable[..., Path]) -> Path:
    return with_copies(make_photos(N))


def with_copies(folder: Path) -> Path:
    """Put copies of the first picture into a folder: the same bytes, and a smaller one."""
    (folder / "copy.jpg").write_bytes((folder / "0000.jpg").read_bytes())
    with Image.open(folder / "0000.jpg") as picture:
        picture.resize((64, 48)).save(folder / "small.jpg", quality=85)
    return folder


@pytest.fixture
def ingested(db: Database, photos: Path, recipe: dict[str, Any]) -> Database:
    db.ingest(photos, **recipe)
    return db


def id_of(db: Database, name: str) -> int:
    return next(image.id for image in db.images() if image.path.endswith(f"/{name}"))


def store(db: Database, picture: float, scene: float, bits: int | None) -> None:
    """Store thresholds as if they had been measured."""
    db.connection.execute(
        "INSERT INTO spocdb.duplicate_thresholds "
        "(collection_id, projection_id, picture, scene, bits, settings) "
        "SELECT id, active_projection_id, %s, %s, %s, '{}' FROM spocdb.collections "
        "ON CONFLICT (collection_id, projection_id) DO UPDATE SET "
        "picture = excluded.picture, scene = excluded.scene, bits = excluded.bits",
        [picture, scene, bits],
    )


def test_what_is_measured_finds_copies(ingested: Database) -> None:
    told: list[tuple[int, int]] = []
    duplicates = ingested.duplicates
    measured = duplicates.calibrate(**ASKED, on_done=lambda *counts: told.append(counts))
    assert told == [(n, 14) for n in range(1, 15)]
    assert (measured.n_images, measured.precision, measured.copies) == (14, 0.9, 1)
    assert measured.picture is not None and measured.scene is not None
    assert 0 < measured.picture <= measured.scene
    assert measured.found_precision is not None and measured.found_precision >= 0.9
    by_name = {one.name: one for one in measured.variants}
    assert len(by_name) == 16 and by_name["jpeg 75"].recall == 1
    assert all(one.alone <= one.recall <= one.scene for one in measured.variants)
    recalls = [point.recall for point in measured.curve]
    assert len(recalls) == 100 and recalls == sorted(recalls)
    stored = duplicates.thresholds()
    assert stored is not None
    assert (stored.picture, stored.scene, stored.bits) == (
        measured.picture,
        measured.scene,
        measured.bits,
    )
    assert stored.settings["seed"] == 0 and stored.settings["n_images"] == 14
    found = duplicates.find(level="picture")
    assert (found.level, found.distance) == ("picture", measured.scene)
    group = duplicates.group(id_of(ingested, "small.jpg"))
    assert group is not None
    levels = {Path(image.path).name: image.level for image in group.others}
    assert levels == {"copy.jpg": "bytes", "small.jpg": "picture"}


def test_the_same_seed_measures_the_same(ingested: Database) -> None:
    one, again = (ingested.duplicates.calibrate(**FEW, seed=3) for _ in range(2))
    assert one == again
    other = ingested.duplicates.calibrate(**FEW, seed=4)
    assert other.curve != one.curve


def test_an_interruption_stores_nothing(ingested: Database) -> None:
    def interrupt(done: int, due: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingested.duplicates.calibrate(**FEW, on_done=interrupt)
    assert ingested.duplicates.thresholds() is None
    assert ingested.duplicates.calibrate(**FEW).n_images == 6


def test_copies_are_taken_for_copies_and_shown(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    db.ingest(with_copies(make_photos(7)), **recipe)
    small, first = id_of(db, "small.jpg"), id_of(db, "0000.jpg")
    asked: dict[str, Any] = {"images": 8, "precision": 0.6}
    measured = db.duplicates.calibrate(**asked)
    assert measured.n_taken == 2  # from both sides
    nearest = measured.nearest[0]
    assert {nearest.id, nearest.other_id} >= {small} and nearest.agree
    assert [pair.distance for pair in measured.nearest] == sorted(
        pair.distance for pair in measured.nearest
    )
    db.duplicates.find()
    db.duplicates.decide(small, first, "different")
    decided = db.duplicates.calibrate(**asked)
    assert decided.n_taken == 0 and decided.nearest[0] != nearest
    db.duplicates.decide(small, first, "same")
    decided = db.duplicates.calibrate(**asked)
    assert decided.n_taken == 2
    assert decided.variants[-1].name == "decided to be the same"


def test_a_level_needs_thresholds_of_the_projection(
    ingested: Database, spocdb: Run, recipe: dict[str, Any]
) -> None:
    for level in ("picture", "scene"):
        with pytest.raises(ConfigError, match="not calibrated for its active projection"):
            ingested.duplicates.find(level=level)
    ran = spocdb("duplicates", "find", "--level", "picture")
    assert ran.returncode == 1 and "spocdb duplicates calibrate photos" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ingested.duplicates.find(level="bytes").n_images == 2
    ingested.duplicates.calibrate(**FEW)
    assert ingested.duplicates.find(level="scene").level == "scene"
    ingested.pca.activate(ingested.pca.fit(dim=4))
    assert ingested.duplicates.thresholds() is None
    with pytest.raises(ConfigError, match="not calibrated"):
        ingested.duplicates.find(level="picture")
    ingested.pca.rollback()
    assert ingested.duplicates.thresholds() is not None
    # What was asked for before, also the level.
    assert ingested.duplicates.find().level == "scene"


def test_what_cannot_be_asked(ingested: Database) -> None:
    with pytest.raises(ConfigError, match="not both"):
        ingested.duplicates.find(level="bytes", distance=0.3)
    with pytest.raises(ConfigError, match="unknown level 'near'"):
        ingested.duplicates.find(level="near")  # type: ignore[arg-type]
    unasked: list[dict[str, Any]] = [
        *({"precision": 1}, {"precision": 0.4}, {"copies": 0}, {"images": 148})
    ]
    for wrong in unasked:
        with pytest.raises(InvalidValue):
            ingested.duplicates.calibrate(**wrong)


def test_too_few_images(ingested: Database, photos: Path) -> None:
    with pytest.raises(NotEnoughSamples, match="takes 149 different images or more, and 17 are"):
        ingested.duplicates.calibrate()
    for photo in sorted(photos.iterdir())[1:7]:
        photo.unlink()
    with pytest.raises(NotEnoughSamples, match=r"takes 14 .* and 11 can be read"):
        ingested.duplicates.calibrate(**ASKED)
    assert ingested.duplicates.thresholds() is None


def test_images_that_are_gone_are_left_out(
    ingested: Database, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for photo in sorted(photos.iterdir())[1:4]:
        photo.unlink()
    assert ingested.duplicates.calibrate(images=16, precision=0.9).n_images == 14
    assert "left out: 3 images that cannot be read, such as image" in caplog.text


def test_signatures_count_between_the_distances(
    db: Database, photos: Path, recipe: dict[str, Any]
) -> None:
    # No thumbnails, and so no signatures: they are made when they are needed.
    db.ingest(photos, **recipe, thumbnails=False)
    small = id_of(db, "small.jpg")
    store(db, 0.0, 2.0, 10)
    found = db.duplicates.find(level="picture")
    assert (found.n_groups, found.n_images) == (1, 3)
    count = "SELECT count(signature) FROM spocdb.thumbnails WHERE signature_version = 1"
    assert db.connection.execute(count).fetchone() == (N + 1,)
    near = "SELECT level FROM spocdb.near_duplicates('photos', %s)"
    assert db.connection.execute(near, [small]).fetchall() == [("picture",)] * 2
    # Without signatures only the distance counts; everything is within the scene.
    store(db, 0.0, 2.0, None)
    assert db.duplicates.find(level="picture").n_images == 2
    found = db.duplicates.find(level="scene")
    assert (found.n_groups, found.n_images) == (1, N + 2)
    levels = db.connection.execute("SELECT level FROM spocdb.duplicate_groups('photos')")
    assert {level for (level,) in levels} == {"bytes", "scene"}


def test_what_is_ingested_later_is_compared_by_level(
    ingested: Database, photos: Path, recipe: dict[str, Any]
) -> None:
    store(ingested, 0.0, 2.0, 10)
    assert ingested.duplicates.find(level="picture").n_images == 3
    with Image.open(photos / "0003.jpg") as picture:
        picture.resize((70, 52)).save(photos / "later.jpg", quality=85)
    ingested.ingest(photos, **recipe)
    group = ingested.duplicates.group(id_of(ingested, "later.jpg"))
    assert group is not None and group.others[0].level == "picture"
    assert ingested.duplicates.summary().n_due == 0


def test_thresholds_go_with_the_projection(
    ingested: Database, caplog: pytest.LogCaptureFixture
) -> None:
    ingested.duplicates.calibrate(**FEW)
    assert not caplog.records
    ingested.pca.activate(ingested.pca.fit(dim=4))
    ingested.duplicates.calibrate(**FEW)
    assert "photos: projection 2 was fitted on 17 images of this collection" in caplog.text
    # So few dimensions may have no distance with the precision.
    store(ingested, 0.1, 0.2, 10)
    ingested.pca.rollback()
    kept = "SELECT projection_id FROM spocdb.duplicate_thresholds ORDER BY 1"
    assert ingested.connection.execute(kept).fetchall() == [(1,), (2,)]
    ingested.pca.drop(2, collection="photos")
    assert ingested.connection.execute(kept).fetchall() == [(1,)]


def test_a_reader_calibrates_nothing(granted: Shop, roles: dict[str, str], url: str) -> None:
    granted.db.duplicates.calibrate("products", images=6, precision=0.6)
    settings = from_environment(make_conninfo(url, user=roles["reader"]))
    with Database(settings) as reader:
        with pytest.raises(RightMissing, match="may not store thresholds"):
            reader.duplicates.calibrate("products", images=6, precision=0.6)
        shown = reader.duplicates.thresholds("products")
        assert shown is not None and shown == granted.db.duplicates.thresholds("products")


def test_an_attached_table(stocked: Shop) -> None:
    measured = stocked.db.duplicates.calibrate(images=6, precision=0.6)
    assert measured.n_images == 6 and measured.picture is not None
    stocked.execute("UPDATE products SET photo = '0001.jpg' WHERE id = 1")
    stocked.work()
    assert stocked.db.duplicates.find(level="picture").level == "picture"
    group = stocked.db.duplicates.group(stocked.db.tables.image_id("1"))
    assert group is not None
    levels = {image.path: image.level for image in (group.keeper, *group.others)}
    assert levels["1"] == levels["2"] and levels["1"] in ("bytes", "picture")


def test_a_worker_compares_by_level(
    granted: Shop, roles: dict[str, str], spocdb: Run, url: str
) -> None:
    store(granted.db, 0.0, 2.0, 10)
    assert granted.db.duplicates.find("products", level="picture").n_images == 0
    with Image.open(granted.folder / "0002.jpg") as picture:
        picture.resize((70, 52)).save(granted.folder / "small.jpg", quality=85)
    granted.execute("INSERT INTO products VALUES (7, 'small.jpg')")
    ran = spocdb("worker", "--once", "--db", make_conninfo(url, user=roles["worker"]))
    assert ran.returncode == 0, ran.stderr
    assert granted.db.duplicates.summary("products").n_due == 0
    (group,) = granted.db.duplicates.groups("products")
    (other,) = group.others
    assert {group.keeper.path, other.path} == {"3", "7"}
    assert other.level == "picture" and other.distance > 0


def test_the_command(ingested: Database, spocdb: Run, tmp_path: Path) -> None:
    asked = ("duplicates", "calibrate", "--images", 14, "--precision", 0.9)
    ran = spocdb(*asked, "--plot", tmp_path / "curve.png")
    assert ran.returncode == 0, ran.stderr
    assert "photos, projection 1: the same picture up to 0." in ran.stdout
    header, *points = ran.stdout.splitlines()[:11]
    assert header.split()[:3] == ["distance", "precision", "recall"]
    recalls = [float(point.split()[2]) for point in points]
    assert recalls == sorted(recalls) and recalls[-1] > recalls[0]
    assert "crop to 80 %" in ran.stdout and "changed 14 of 14 pictures" in ran.stderr
    with Image.open(tmp_path / "curve.png") as drawn:
        assert drawn.width > 1000
    few = ("duplicates", "calibrate", "--images", 6, "--precision", 0.6)
    ran = spocdb(*few, "--json", "--quiet")
    assert ran.stderr == "" and len(json.loads(ran.stdout)["curve"]) == 100
    assert spocdb(*asked, "--plot", tmp_path / "curve.doc").returncode == 1
    shown = spocdb("pca", "show", 1).stdout
    assert "near-duplicates of photos: the same picture up to 0." in shown
    assert "photos" in json.loads(spocdb("pca", "show", 1, "--json").stdout)["thresholds"]
    ran = spocdb("duplicates", "find", "--level", "picture")
    assert "the same picture, up to a distance of 0." in ran.stderr
    ran = spocdb("duplicates", "list")
    assert "bytes, picture" in ran.stdout


def test_the_code_of_the_guide_runs(ingested: Database, capsys: pytest.CaptureFixture[str]) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "duplicates.md"
    (block,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    # The guide's precision takes more pictures than there are here.
    exec(block.replace("precision=0.99", "precision=0.9"), {"db": ingested})
    measured, counts, group, *hits = capsys.readouterr().out.splitlines()
    assert [0 < float(figure) <= 1 for figure in measured.split()] == [True] * 3
    assert counts == "1 2" and "small.jpg" in group and len(hits) == 5
