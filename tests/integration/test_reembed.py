"""A collection is taken to another extractor while it answers, and back."""

import json
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg.sql import SQL, Identifier

from spocdb import search as searching
from spocdb.db import collections, engine, projections
from spocdb.errors import ConfigError, DatabaseError
from spocdb.features.projection import project
from spocdb.records import Recipe as StoredRecipe
from spocdb.records import Refinement
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import Meanwhile, WaitUntil

Options = dict[str, Any]
Make = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

N_PHOTOS = 24

IMAGES = "SELECT id, path, sha256, metadata, ingested_at FROM spocdb.images ORDER BY id"


def save_random(model: Callable[..., Any], seed: int, file: Path) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(model(weights=None).state_dict(), file)
    return file


@pytest.fixture(scope="session")
def recipe(random_recipe: Options) -> Options:
    """Return the options of the first extractor, whose weights are a file of the user's."""
    return random_recipe


@pytest.fixture(scope="session")
def better(tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Return the options of a second extractor: the same network, trained otherwise."""
    from torchvision.models import squeezenet1_1

    file = tmp_path_factory.mktemp("better") / "better.pth"
    weights = save_random(squeezenet1_1, 1, file)
    return {"extractor": "squeezenet1_1", "weights": weights, "size": 64}


@pytest.fixture
def photos(db: Database, recipe: Options, make_photos: Make) -> Path:
    """Return a folder that is ingested, with an index by a whitened PCA of 8 dimensions."""
    folder = make_photos(N_PHOTOS)
    db.ingest(folder, **recipe)
    db.pca.activate(db.pca.fit(dim=8, regularisation=0.1))
    return folder


@pytest.fixture
def start(start_process: Start, program: Path, url: str) -> Start:
    """Return a function that starts the program."""
    return partial(start_process, program, SPOCDB_DATABASE_URL=url)


def command(options: Options) -> list[object]:
    """Return what the command line takes for a recipe's options."""
    return [f"--{name}={value}" for name, value in options.items() if name != "extractor"]


def once(function: Callable[[], object]) -> Callable[..., None]:
    """Return a callback that does something the first time that it is called."""
    left = [function]

    def call(*_: object) -> None:
        if left:
            left.pop()()

    return call


def extractor_of(db: Database, collection: str = "photos") -> str:
    return next(c.extractor for c in db.collections() if c.name == collection)


def check(db: Database, n_images: int) -> None:
    """Hold every active embedding against what its extractor and projection make of its image."""
    target = collections.get(db.connection, "photos")
    rows = db.connection.execute(
        "SELECT v.embedding::real[], d.descriptor::real[] FROM spocdb.photos v "
        "JOIN spocdb.descriptors d ON d.sha256 = v.sha256 AND d.extractor_id = %s",
        [target.extractor_id],
    ).fetchall()
    assert len(rows) == n_images
    ((n_stored,),) = db.connection.execute("SELECT count(*) FROM spocdb.images")
    assert n_stored == n_images
    projection = projections.load(db.connection, target.active_projection_id)
    expected = project(np.array([row[1] for row in rows], np.float32), projection)
    assert np.abs(np.array([row[0] for row in rows]) - expected).max() < 1e-3
    assert next(s.index for s in db.index.status("photos") if s.active)


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
    # Eight dimensions are what this test had before, and few.
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
    # A later command means the new extractor without naming it.
    assert db.ingest(photos).n_unchanged == N_PHOTOS
    with pytest.raises(ConfigError, match="asked for 65"):
        db.ingest(photos, size=65)


def test_searches_go_on_and_always_find_k(
    db: Database, photos: Path, better: Options, meanwhile: Meanwhile
) -> None:
    connections = [engine.connect(db.url) for _ in range(2)]

    def search_by_id() -> None:
        found = connections[0].execute("SELECT id FROM spocdb.similar('photos', 1, 5)").fetchall()
        assert len(found) == 5

    def search_by_view() -> None:
        found = connections[1].execute(
            "SELECT v.id FROM spocdb.photos v "
            "ORDER BY v.embedding <#> spocdb.embedding('photos', 2) LIMIT 5"
        )
        assert len(found.fetchall()) == 5

    with meanwhile(search_by_id, search_by_view):
        db.reembed(**better, dim=12)
        db.pca.rollback()
        db.pca.rollback()
    for connection in connections:
        connection.close()
    check(db, N_PHOTOS)


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
    assert db.connection.execute(column).fetchall() == [("vector(512)",)]
    number = db.reembed("resnet50", weights=weights, size=64)
    assert db.pca.show(number)[0].dim == 2048
    assert db.connection.execute(column).fetchall() == [("halfvec(2048)",)]
    check(db, 6)
    assert len(db.similar(1, 5)) == 5
    db.pca.rollback()
    assert db.connection.execute(column).fetchall() == [("vector(512)",)]
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


@pytest.fixture
def come(db: Database, photos: Path, make_photos: Make) -> Callable[..., None]:
    """Return a callback that brings, once, a changed image and five more by the old extractor."""
    more, old = make_photos(6, "more", seed=1), extractor_of(db)

    def ingest() -> None:
        (more / "0000.jpg").replace(photos / "0000.jpg")
        with Database(db.settings) as other:
            assert other.ingest(photos, more).n_new == 6
            assert extractor_of(other) == old

    return once(ingest)


def test_images_that_come_while_the_others_are_described_are_there_in_the_end(
    db: Database, photos: Path, better: Options, come: Callable[..., None]
) -> None:
    # Before the first is read: the changed one is not read as what it was.
    db.reembed(**better, on_progress=come)
    assert extractor_of(db) == db.recipe(**better).name
    check(db, N_PHOTOS + 5)


def test_images_that_come_while_the_index_is_built_are_there_in_the_end(
    db: Database, photos: Path, better: Options, come: Callable[..., None], hear: Any
) -> None:
    hear(lambda line: come() if "building the index" in line else None)
    db.reembed(**better)
    assert extractor_of(db) == db.recipe(**better).name
    check(db, N_PHOTOS + 5)


def test_an_ingest_that_began_before_the_switch_fails_after_it_and_then_goes_on(
    db: Database, photos: Path, better: Options, make_photos: Make
) -> None:
    more = make_photos(20, "more", seed=1)

    def reembed() -> None:
        with Database(db.settings) as other:
            other.reembed(**better)

    message = "^collection photos changed its extractor meanwhile: run the same command again$"
    with pytest.raises(DatabaseError, match=message):
        switch = once(reembed)
        db.ingest(more, batch_size=1, on_progress=lambda p: switch(p) if p.n_done else None)
    assert extractor_of(db) == db.recipe(**better).name
    ((n_images,),) = db.connection.execute("SELECT count(*) FROM spocdb.images")
    check(db, n_images)
    assert db.ingest(more).n_unchanged == n_images - N_PHOTOS
    check(db, N_PHOTOS + 20)


@pytest.mark.slow
def test_an_ingest_in_another_process_goes_on_meanwhile(
    db: Database,
    photos: Path,
    better: Options,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
) -> None:
    more = make_photos(150, "more", seed=1)
    process = start("ingest", more, "--batch-size=1")
    wait_until(lambda: db.connection.execute(IMAGES).rowcount > N_PHOTOS, process)
    db.reembed(**better)
    _, said = process.communicate(timeout=120)
    if process.returncode:
        assert process.returncode == 1, said
        assert "changed its extractor meanwhile: run the same command again" in said
    again = start("ingest", more)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    check(db, N_PHOTOS + 150)


# Several batches.
N_MANY = 500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)]
)
def test_stopped_in_the_middle_it_goes_on_where_it_was(
    db: Database,
    recipe: Options,
    better: Options,
    make_photos: Make,
    start: Start,
    wait_until: WaitUntil,
    number: signal.Signals,
    code: int,
) -> None:
    db.ingest(make_photos(N_MANY), **recipe)
    old = extractor_of(db)
    arguments = ["reembed", better["extractor"], *command(better), "--dim=8"]
    process = start(*arguments)

    def n_described() -> int:
        ((n,),) = db.connection.execute(f"SELECT count(*) - {N_MANY} FROM spocdb.descriptors")
        return int(n)

    wait_until(n_described, process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    n_before = n_described()
    assert 0 < n_before < N_MANY
    assert extractor_of(db) == old
    check(db, N_MANY)
    process = start(*arguments)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert out == f"photos: projection {db.collections()[0].projection} is active\n"
    assert f"{N_MANY} images: {N_MANY - n_before} new, {n_before} unchanged" in said
    check(db, N_MANY)


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
    # What was computed stays, and what it advises helps.
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


def test_a_query_that_the_switch_overtakes_is_described_anew(
    db: Database, photos: Path, better: Options
) -> None:
    def reembed() -> None:
        with Database(db.settings) as other:
            other.reembed(**better)

    overtake = once(reembed)

    def load(recipe: StoredRecipe) -> Any:
        overtake()
        return db.engine.extractor(recipe, "cpu", "float32")

    hits = searching.search(
        db.engine.connection,
        collections.get(db.connection, "photos"),
        (photos / "0007.jpg").read_bytes(),
        load,
        3,
        crop=None,
        filter={},
        exact=False,
        refinement=Refinement(),
        max_pixels=10**6,
    )
    assert [hits[0].path, len(hits)] == [str(photos / "0007.jpg"), 3]
    assert hits[0].distance < 1e-2


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
