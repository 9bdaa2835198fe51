"""Decisions about near-duplicates hold for every extractor of a collection."""

from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import DuplicatesNotFound
from tests.fixtures.opened import Database


def together(db: Database, id: int) -> set[int]:
    """Return the images of the group that an image is in; itself if it is in none."""
    group = db.duplicates.group(id)
    return {image.id for image in (group.keeper, *group.others)} if group else {id}


def test_decisions_outlive_an_extractor(db: Database, photos: Path, better: dict[str, Any]) -> None:
    # Everything is near everything, and the first path is the keeper.
    everything: dict[str, Any] = {"distance": 2, "keep": "suffix:jpg"}
    db.duplicates.find(**everything)
    assert together(db, 1) == {*range(1, 25)}
    db.duplicates.decide(1, 3, "different")
    assert 3 not in together(db, 1)
    decided = db.duplicates.decisions()

    db.reembed(**better)
    with pytest.raises(DuplicatesNotFound):
        db.duplicates.summary()
    assert db.duplicates.decisions() == decided
    db.duplicates.find(**everything)
    assert 3 not in together(db, 1)
    db.duplicates.decide(3, 5, "same")
    assert 5 in together(db, 3) and 1 not in together(db, 3)

    # Back to the first extractor, whose groups follow what was decided meanwhile.
    db.pca.rollback()
    db.duplicates.find()
    assert 5 in together(db, 3) and 1 not in together(db, 3)
