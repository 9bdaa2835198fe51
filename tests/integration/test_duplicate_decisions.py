"""Decisions about near-duplicates: kept by content, whatever happens to files and embeddings."""

from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError, DuplicatesNotFound, ImageNotFound
from spocdb.records import Float32Array
from tests.fixtures.copies import NEAR, AddImages, copies, shown
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

pytestmark = pytest.mark.servers


def test_a_decision_is_kept_by_content(
    crowd: Database, add_images: AddImages, originals: Float32Array
) -> None:
    duplicates = crowd.duplicates
    duplicates.find(distance=NEAR)
    duplicates.decide(2, 62, "different")
    duplicates.decide(3, 63, "keep both")
    duplicates.decide(20, 30, "same")
    wanted = {n: [n + 60] for n in range(4, 11)} | {1: [61, 71], 20: [30]}
    assert shown(duplicates) == wanted
    # The files are moved: ids stay, paths change. Then they are gone, and come again.
    crowd.connection.execute("UPDATE spocdb.images SET path = path || '.moved'")
    assert duplicates.find() and shown(duplicates) == wanted
    assert crowd.delete(2, 62, 20, 30) == 4
    duplicates.find()
    assert shown(duplicates) == {n: [n + 60] for n in range(4, 11)} | {1: [61, 71]}
    add_images(crowd.connection, originals[[1, 19, 29]], first=100)
    add_images(crowd.connection, copies(originals[:10])[1:2], first=110)
    duplicates.find()
    # 2 and 62 are different again, 20 and 30 the same.
    assert [[*other] for keeper, other in shown(duplicates).items() if keeper > 71] == [[74]]
    assert len(shown(duplicates)) == 9
    said = [(decision.verdict, decision.decided_by) for decision in duplicates.decisions()]
    user = crowd.connection.info.user
    assert said == [("different", user), ("keep both", user), ("same", user)]
    # Another projection.
    crowd.pca.activate(crowd.pca.fit(dim=32))
    with pytest.raises(DuplicatesNotFound, match=r"run `db\.duplicates\.find"):
        crowd.duplicates.summary()
    duplicates.find(distance=NEAR)
    assert 3 not in shown(duplicates)
    duplicates.decide(3, 63, None)
    assert shown(duplicates)[3] == [63]


def test_what_cannot_be_decided(crowd: Database) -> None:
    with pytest.raises(ConfigError, match="images 1 and 71 have the same bytes"):
        crowd.duplicates.decide(1, 71, "same")
    with pytest.raises(ImageNotFound, match="has no image 99"):
        crowd.duplicates.decide(1, 99, "same")
    with pytest.raises(ConfigError, match="unknown verdict 'maybe': one of same, diff"):
        crowd.duplicates.decide(1, 2, "maybe")  # type: ignore[arg-type]
    with pytest.raises(DuplicatesNotFound):
        next(crowd.duplicates.groups())


def named(db: Database, collection: str | None = None) -> list[set[str]]:
    """Return the names of the files of each group."""
    return sorted(
        (
            {Path(image.path).name for image in (group.keeper, *group.others)}
            for group in db.duplicates.groups(collection)
        ),
        key=min,
    )


def test_it_outlives_files_and_collections(
    db: Database, copied_photos: Path, recipe: dict[str, Any]
) -> None:
    folder, away = copied_photos, copied_photos.parent / "away"
    db.ingest(folder, **recipe)
    db.duplicates.find(distance=0.001)
    copies = {"0000.jpg", "it's a copy.jpg", "copy.jpg"}
    assert named(db) == [copies, {"0001.jpg", "again.png"}]
    ids = {Path(image.path).name: image.id for image in db.images(embeddings=False)}
    db.duplicates.decide(ids["0001.jpg"], ids["again.png"], "keep both")
    db.duplicates.decide(ids["0002.jpg"], ids["0003.jpg"], "same")
    assert named(db) == [copies, {"0002.jpg", "0003.jpg"}]
    # The files are gone and their images pruned.
    away.mkdir()
    for name in ("0001.jpg", "0002.jpg"):
        (folder / name).rename(away / name)
    assert db.ingest(folder, prune=True).n_pruned == 2
    assert named(db) == [copies]
    # They come again, under other names.
    (away / "0001.jpg").rename(folder / "one.jpg")
    (away / "0002.jpg").rename(folder / "two.jpg")
    assert db.ingest(folder).n_reused == 2
    assert named(db) == [copies, {"0003.jpg", "two.jpg"}]
    # In another collection, and after the first one is dropped.
    db.ingest(folder, collection="others", **recipe)
    db.drop("photos")
    db.duplicates.find("others", distance=0.001)
    assert named(db, "others") == [copies, {"0003.jpg", "two.jpg"}]
    assert [one.verdict for one in db.duplicates.decisions("others")] == ["keep both", "same"]


def test_wrong_words_are_refused_before_anything_is_stored(crowd: Database, spocdb: Run) -> None:
    crowd.duplicates.find(distance=NEAR)
    for verdict in ("maybe", "keep both", "Same", "<b>same</b>"):
        ran = spocdb("duplicates", "decide", 1, 2, verdict)
        assert ran.returncode == 2 and "same, different, keep-both, undecided" in ran.stderr
    assert crowd.duplicates.decisions() == []
