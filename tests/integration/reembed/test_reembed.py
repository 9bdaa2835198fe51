"""A collection is re-embedded by another extractor while it is searched, and rolled back."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from spocdb.db import collections
from spocdb.errors import ConfigError, DatabaseError
from spocdb.training.matching import Views
from spocdb.training.projecting import whiten
from tests.fixtures.opened import Database
from tests.integration.reembed.checks import (
    IMAGES,
    N_PHOTOS,
    check,
    command,
    extractor_of,
    save_random,
)

Options = dict[str, Any]
Make = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_collection_answers_by_another_extractor_and_is_otherwise_as_it_was(
    db: Database, photos: Path, better: Options, tmp_path: Path, role: str, said: list[str]
) -> None:
    (tmp_path / "about.csv").write_text(f"path,kind\n{photos / '0003.jpg'},shoe\n")
    db.ingest(photos, metadata=tmp_path / "about.csv")
    grantee = Identifier(role)
    db.connection.execute(SQL("GRANT SELECT ON spocdb.photos TO {}").format(grantee))
    before, active = db.connection.execute(IMAGES).fetchall(), db.pca.list()[-1]
    said.clear()
    told: list[int] = []
    number = db.reembed(**better, on_progress=lambda p: told.append(p.n_done))
    assert db.connection.execute(IMAGES).fetchall() == before
    old, new = active.extractor, db.recipe(**better).name
    assert old != new
    assert extractor_of(db) == new
    check(db, N_PHOTOS)
    fitted, _ = db.pca.show(number)
    assert (fitted.settings, fitted.n_samples) == (active.settings, N_PHOTOS)
    # Warnings that eight dimensions are few are left out.
    assert [line for line in said if not line.startswith("warning: ")][:2] == [
        f"photos: from {old} to {new}",
        f"fitted projection {number}: 8 dimensions, on the images of photos",
    ]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, N_PHOTOS)
    (hit,) = db.search(photos / "0003.jpg", 1)
    assert (hit.path, hit.metadata) == (str(photos / "0003.jpg"), {"kind": "shoe"})
    assert hit.distance < 1e-2
    ((may,),) = db.connection.execute(
        "SELECT has_table_privilege(%s, 'spocdb.photos', 'SELECT')", [role]
    )
    assert may
    # Later commands use the new extractor without naming it.
    assert db.ingest(photos).n_unchanged == N_PHOTOS
    with pytest.raises(ConfigError, match="asked for 65"):
        db.ingest(photos, size=65)


def test_rollback_undoes_it_and_a_second_one_is_back_again(
    db: Database, photos: Path, better: Options, said: list[str]
) -> None:
    old, answers = extractor_of(db), db.similar(1)
    db.reembed(**better)
    new, others = extractor_of(db), db.similar(1)
    assert others != answers
    for name, expected in ((old, answers), (new, others), (old, answers)):
        said.clear()
        db.pca.rollback()
        assert said == [], "nothing is built again"
        assert (extractor_of(db), db.similar(1)) == (name, expected)
        check(db, N_PHOTOS)
    assert db.ingest(photos).n_unchanged == N_PHOTOS


def test_images_that_come_later_bar_the_way_back_until_they_are_described(
    db: Database, photos: Path, better: Options, make_photos: Make
) -> None:
    old = extractor_of(db)
    db.reembed(**better)
    db.ingest(make_photos(3, "more", seed=1))
    with pytest.raises(DatabaseError, match=rf"by which 3 images .* run `db.reembed.'{old}', c"):
        db.pca.rollback()
    check(db, N_PHOTOS + 3)
    # The weights are remembered.
    db.reembed(old)
    assert extractor_of(db) == old
    check(db, N_PHOTOS + 3)


def test_a_raw_projection_stays_raw_unless_dimensions_are_asked_for(
    db: Database, recipe: Options, better: Options, make_photos: Make, said: list[str]
) -> None:
    db.ingest(make_photos(10), **recipe)
    said.clear()
    number = db.reembed(**better)
    assert db.pca.show(number)[0].kind == "raw"
    assert said[1] == f"projection {number}, the raw one, as before"
    check(db, 10)
    assert db.pca.show(db.reembed(**recipe, dim=4))[0].dim == 4
    check(db, 10)


def test_too_few_images_for_the_projection_leave_the_raw_one(
    db: Database, recipe: Options, better: Options, make_photos: Make, said: list[str]
) -> None:
    db.ingest(make_photos(30, "others"), collection="others", **recipe)
    db.ingest(make_photos(5), **recipe)
    db.pca.activate(db.pca.fit("others", dim=8), "photos")
    said.clear()
    number = db.reembed(**better, collection="photos")
    assert db.pca.show(number)[0].kind == "raw"
    assert "the raw one: 5 images are too few for 8 dimensions" in said[1]
    assert extractor_of(db, "others") != extractor_of(db) == db.recipe(**better).name


def test_a_learned_projection_is_replaced_by_a_pca_and_that_is_said(
    db: Database, photos: Path, better: Options, said: list[str]
) -> None:
    learned = whiten(db, Views(1), dim=4)
    db.pca.activate(learned)
    old = extractor_of(db)
    said.clear()
    summary = db.pca.show(db.reembed(**better))[0]
    assert (summary.kind, summary.dim) == ("pca", 4)
    line = f"projection {learned} was learned from the descriptors of {old}: a PCA takes its place"
    assert [one for one in said if one.startswith(line)]
    assert db.pca.rollback() == learned


def test_dimensions_that_cannot_be_are_told_before_the_work(
    db: Database, photos: Path, better: Options
) -> None:
    with pytest.raises(ConfigError, match=r"^dim must be 1 to 512"):
        db.reembed(**better, dim=513)
    assert {e.n_descriptors for e in db.extractors()} == {0, N_PHOTOS}


def test_another_number_of_channels_changes_the_column(
    db: Database, recipe: Options, make_photos: Make, tmp_path: Path
) -> None:
    from torchvision.models import resnet50

    db.ingest(make_photos(6), **recipe)
    weights = save_random(resnet50, 0, tmp_path / "resnet50.pth")
    column = (
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'spocdb.photos'::regclass AND attname = 'embedding'"
    )
    assert db.connection.execute(column).fetchall() == [("halfvec(512)",)]
    number = db.reembed("resnet50", weights=weights, size=64)
    assert db.pca.show(number)[0].dim == 2048
    assert db.connection.execute(column).fetchall() == [("halfvec(2048)",)]
    check(db, 6)
    assert len(db.similar(1, 5)) == 5
    db.pca.rollback()
    assert db.connection.execute(column).fetchall() == [("halfvec(512)",)]
    check(db, 6)


def test_the_same_extractor_again_is_nothing_to_do(
    db: Database, photos: Path, said: list[str]
) -> None:
    name = extractor_of(db)
    before = db.connection.execute("SELECT * FROM spocdb.collections").fetchall()
    said.clear()
    active = db.collections()[0].projection
    assert db.reembed(name) == active
    assert said == [f"photos has the extractor {name} already: nothing to do"]
    assert db.connection.execute("SELECT * FROM spocdb.collections").fetchall() == before


def test_an_extractor_that_cannot_be_is_not_registered(
    db: Database, photos: Path, better: Options
) -> None:
    with pytest.raises(ConfigError, match="unknown extractor 'alexnet': one of vgg19, "):
        db.reembed("alexnet")
    with pytest.raises(ConfigError, match="these are no weights of vgg16"):
        db.reembed(**better | {"extractor": "vgg16"})
    assert len(db.extractors()) == 1
    check(db, N_PHOTOS)


def test_options_go_on_top_of_a_known_extractor(
    db: Database, photos: Path, better: Options
) -> None:
    db.reembed(extractor_of(db), weights=better["weights"], flip=True)
    (flipped,) = [e for e in db.extractors() if e.collections]
    assert flipped.recipe == db.recipe(**better, flip=True)
    check(db, N_PHOTOS)


def test_an_augmentation_is_followed_by_its_plain_projection(
    db: Database, photos: Path, better: Options
) -> None:
    settings = db.pca.list()[-1].settings
    augmented = db.pca.augment(neighbours=2)
    number = db.reembed(**better)
    assert db.pca.show(number)[0].settings == settings
    assert db.pca.rollback() == augmented
    check_is_complete(db, augmented)


def check_is_complete(db: Database, number: int) -> None:
    ((n,),) = db.connection.execute(f"SELECT count(*) FROM spocdb.embeddings_1_{number}")
    assert n == N_PHOTOS


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(Path.unlink, "cannot read the file"), (None, "has other bytes")],
)
def test_a_file_that_is_gone_or_changed_keeps_the_old_extractor(
    db: Database,
    photos: Path,
    better: Options,
    spocdb: Run,
    harm: Callable[[Path], None] | None,
    reason: str,
) -> None:
    file, old = photos / "0005.jpg", extractor_of(db)
    if harm:
        harm(file)
    else:
        file.write_bytes((photos / "0006.jpg").read_bytes() + b"\0")
    ran = spocdb("reembed", better["extractor"], *command(better))
    line = ran.stderr.splitlines()[-1]
    assert (ran.returncode, ran.stdout) == (1, "")
    assert line.startswith(f"spocdb: 1 image of photos cannot be read as ingested, such as {file}")
    assert reason in line
    assert "`spocdb ingest FOLDER --prune --collection photos`" in line
    assert extractor_of(db) == old
    check(db, N_PHOTOS)
    # Computed descriptors stay, and the advice in the message works.
    assert sorted(e.n_descriptors for e in db.extractors()) == [N_PHOTOS - 1, N_PHOTOS]
    db.ingest(photos, prune=True)
    db.reembed(**better)
    check(db, N_PHOTOS - (harm is not None))


def test_one_copy_of_a_picture_is_enough(
    db: Database, recipe: Options, better: Options, make_photos: Make
) -> None:
    folder = make_photos(4)
    for name in ("a.jpg", "z.jpg"):
        (folder / name).write_bytes((folder / "0000.jpg").read_bytes())
    db.ingest(folder, **recipe)
    (folder / "0000.jpg").unlink()
    (folder / "a.jpg").write_bytes(b"something else")
    db.reembed(**better)
    assert sorted(e.n_descriptors for e in db.extractors()) == [4, 4]
    check(db, 6)


def test_what_an_extractor_was_made_from_is_told(
    db: Database, photos: Path, better: Options, spocdb: Run
) -> None:
    parentage = {"trained_from": extractor_of(db), "pairs": 12}
    add = partial(collections.add_extractor, db.connection, db.recipe(**better), 512)
    number = add(parentage)
    assert add({"pairs": 13}) == add() == number
    assert {e.name: e.parentage for e in db.extractors()} == {
        extractor_of(db): None,
        db.recipe(**better).name: parentage,
    }
    shown = json.loads(spocdb("extractors", "--json").stdout)["stored"]
    assert [e["parentage"] for e in shown if e["parentage"]] == [parentage]
