"""Decisions about near-duplicates: kept by content, whatever happens to files and embeddings."""

import pytest

from spocdb.errors import ConfigError, DuplicatesNotFound, ImageNotFound
from spocdb.records import Float32Array
from tests.fixtures.copies import NEAR, AddImages, copies, shown
from tests.fixtures.opened import Database

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
