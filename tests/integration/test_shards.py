"""A collection on three databases: one ingest, the answers of one database."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import spocdb
from spocdb import ConfigError, Hit, ImageNotFound, InvalidValue, Shards
from tests.fixtures.opened import Database
from tests.fixtures.sharded import DOUBLED, FAILURES, IMAGES, rows_of

Make = Callable[..., Path]
Recipe = dict[str, Any]


def told(hits: list[Hit]) -> list[tuple[str, float, dict[str, Any]]]:
    """Return what does not depend on ids; distances as far as float32 has digits."""
    rounded = [(hit.path, round(hit.distance, 5), hit.metadata) for hit in hits]
    # Copies are equally far, or differ in the last digit.
    return sorted(rounded, key=lambda hit: (hit[1], hit[0]))


def fill(db: Any, folder: Path, recipe: Recipe, **options: Any) -> Any:
    return db.ingest(folder, auto_pca=0, **options, **recipe)


@pytest.fixture
def labelled(make_photos: Make) -> Path:
    """Return 40 photos with metadata, one copy, and a damaged file."""
    folder = make_photos(40)
    shutil.copy(folder / "0003.jpg", folder / "0003-again.jpg")
    (folder / "damaged.jpg").write_bytes(b"no image")
    lines = [f"{i:04}.jpg,{'shoe' if i % 3 else 'hat'}" for i in range(40)]
    (folder / "labels.csv").write_text("\n".join(["path,kind", *lines]))
    return folder


def test_answers_are_those_of_one_database(
    shards: Shards,
    parts: list[Database],
    db: Database,
    labelled: Path,
    make_photos: Make,
    recipe: Recipe,
) -> None:
    counts = fill(shards, labelled, recipe, metadata=labelled / "labels.csv")
    alone = fill(db, labelled, recipe, metadata=labelled / "labels.csv")
    assert (counts.n_new, counts.n_reused, counts.n_failed) == (40, 1, 1)
    assert (alone.n_new, alone.n_reused, alone.n_failed) == (40, 1, 1)
    assert rows_of(parts, IMAGES) == rows_of([db], IMAGES)
    assert rows_of(parts, FAILURES) == rows_of([db], FAILURES)
    assert [len(rows_of([part], IMAGES)) > 5 for part in parts] == [True, True, True]

    query = make_photos(1, "query", seed=9) / "0000.jpg"
    asked: dict[str, Any]
    for asked in (
        {},
        {"k": 100},
        {"filter": {"kind": "hat"}},
        {"filter": [["kind", "=", "shoe"]], "k": 3},
        {"k": None, "max_distance": 0.4},
        {"k": 7, "max_distance": 0.3},
        {"filter": {"kind": "boot"}},
    ):
        found = shards.search(query, exact=True, **asked)
        assert told(found) == told(db.search(query, exact=True, **asked))
        assert len({hit.id for hit in found}) == len(found)
    assert shards.count() == 41
    assert shards.count({"kind": "hat"}) == db.count({"kind": "hat"})
    (summary,) = shards.collections()
    assert (summary.n_images, summary.n_failures) == (41, 1)
    assert [f.path for f in shards.failures()] == [f.path for f in db.failures()]
    listed = list(shards.images(limit=20))
    assert [i.path for i in listed] == [i.path for i in db.images(limit=20)]
    for image in listed:
        assert shards.path(image.id) == shards.image(image.id).path == image.path
        own = next(i for i in db.images() if i.path == image.path)
        # The copy has no metadata: it could be fifth as well as what it is a copy of.
        asked = {"k": 5, "exact": True, "filter": [["kind", "exists", True]]}
        assert told(shards.similar(image.id, **asked)) == told(db.similar(own.id, **asked))
    assert (shards.embed(query) == db.embed(query)).all()


def test_an_ingest_again_reads_nothing(
    shards: Shards, parts: list[Database], labelled: Path, recipe: Recipe
) -> None:
    fill(shards, labelled, recipe)
    before = rows_of(parts, IMAGES)
    again = fill(shards, labelled, recipe)
    assert (again.n_unchanged, again.n_failed, again.n_new, again.n_reused) == (41, 1, 0, 0)
    assert shards.preview(labelled).n_unchanged == 41
    assert rows_of(parts, IMAGES) == before


def test_changed_moved_and_deleted_files(
    shards: Shards, parts: list[Database], db: Database, labelled: Path, recipe: Recipe
) -> None:
    """Each file's bytes go to the next one's path, so that most paths change their server."""
    for target in (shards, db):
        fill(target, labelled, recipe, metadata=labelled / "labels.csv")
    ids = {image.path: image.id for image in shards.images()}
    contents = [(labelled / f"{i:04}.jpg").read_bytes() for i in range(30)]
    for i in range(30):
        (labelled / f"{i:04}.jpg").write_bytes(contents[i - 1] + b"\0")
    (labelled / "0031.jpg").rename(labelled / "moved.jpg")
    (labelled / "0032.jpg").unlink()
    (labelled / "0033.jpg").write_bytes(b"damaged now")
    (labelled / "damaged.jpg").write_bytes(contents[0] + b"\0\0")
    for target in (shards, db):
        done = fill(target, labelled, recipe, prune=True)
        assert (done.n_new, done.n_moved, done.n_failed, done.n_pruned) == (31, 1, 1, 1)
    assert rows_of(parts, IMAGES) == rows_of([db], IMAGES)
    assert rows_of(parts, FAILURES) == rows_of([db], FAILURES)
    assert rows_of(parts, DOUBLED) == []
    # A moved file is the same image; the bytes of a changed one have a new one.
    after = {image.path: image.id for image in shards.images()}
    assert after[str(labelled / "moved.jpg")] == ids[str(labelled / "0031.jpg")]
    (labelled / "0033.jpg").unlink()
    assert fill(shards, labelled, recipe, prune=True).n_pruned == 1
    assert list(shards.failures()) == []


def test_a_path_on_two_servers_is_left_on_one(
    shards: Shards, parts: list[Database], labelled: Path, recipe: Recipe
) -> None:
    """An ingest leaves it so that is killed between storing here and deleting there."""
    fill(shards, labelled, recipe)
    before = rows_of(parts, IMAGES)
    names = [[path for path, *_ in rows_of([part], IMAGES)] for part in parts]
    stale = "UPDATE spocdb.images SET path = %s, version = 'old' WHERE path = %s"
    for here, there in ((0, 1), (1, 2), (2, 0)):
        parts[there].connection.execute(stale, [names[here][0], names[there][-1]])
    assert rows_of(parts, IMAGES) != before
    again = fill(shards, labelled, recipe)
    assert (again.n_new, again.n_reused) == (0, 6)
    assert rows_of(parts, IMAGES) == before


def test_delete(shards: Shards, parts: list[Database], labelled: Path, recipe: Recipe) -> None:
    fill(shards, labelled, recipe, metadata=labelled / "labels.csv")
    images = list(shards.images(embeddings=False))
    with pytest.raises(ImageNotFound, match="has no image 999999999"):
        shards.delete(images[0].id, 999_999_999)
    with pytest.raises(ImageNotFound, match=r"has no image .*/nowhere\.jpg"):
        shards.delete(images[0].id, "nowhere.jpg")
    assert shards.count() == 41
    assert shards.delete(images[0].id, images[0].path, images[1].id, images[2].path) == 3
    assert [i.path for i in shards.images()] == [i.path for i in images[3:]]
    n_hats = shards.count({"kind": "hat"})
    assert shards.delete(filter={"kind": "hat"}, dry_run=True) == n_hats > 5
    assert shards.delete(filter={"kind": "hat"}) == n_hats
    assert shards.count({"kind": "hat"}) == 0
    shards.drop("photos")
    assert [part.collections() for part in parts] == [[], [], []]


def test_what_needs_one_database_is_refused(shards: Shards, labelled: Path, recipe: Recipe) -> None:
    from spocdb import Refinement

    fill(shards, labelled, recipe)
    query, first = labelled / "0000.jpg", next(shards.images()).id
    for call in (
        lambda: shards.search(query, refinement=Refinement(expand=3)),
        lambda: shards.search(query, refinement=Refinement(rerank=3)),
        lambda: shards.search(query, collapse=True),
        lambda: shards.search(query, like=[first]),
        lambda: shards.similar([first, first + 3]),
        lambda: shards.similar(first, unlike=[first]),
        lambda: shards.ingest(labelled, ray="auto"),
    ):
        with pytest.raises(ConfigError, match=r"^(?!.*\n).*several servers"):
            call()


def test_servers_without_images(
    shards: Shards, parts: list[Database], make_photos: Make, recipe: Recipe
) -> None:
    one = make_photos(1)
    fill(shards, one, recipe)
    assert sorted(part.count() for part in parts) == [0, 0, 1]
    fill(shards, make_photos(20, "others", seed=2), recipe | {"collection": "others"})
    shards.pca.activate(shards.pca.fit("others", dim=8), "photos")
    (found,) = shards.search(one / "0000.jpg", collection="photos")
    assert (found.path, shards.similar(found.id, collection="photos")) == (
        str(one / "0000.jpg"),
        [],
    )
    assert shards.index.build("photos") is None
    (one / "0000.jpg").unlink()
    assert shards.gone(one)[0].n_images == 1
    assert fill(shards, one, recipe, prune=True, prune_gone=True).n_pruned == 1
    assert shards.search(one.parent / "others" / "0000.jpg", collection="photos") == []
    assert list(shards.images({"kind": "shoe"}, collection="photos")) == []


def test_a_reader_searches_on_all_servers(
    shards: Shards,
    shard_urls: list[str],
    admin: psycopg.Connection,
    labelled: Path,
    recipe: Recipe,
) -> None:
    fill(shards, labelled, recipe, metadata=labelled / "labels.csv")
    admin.execute("DROP ROLE IF EXISTS shards_reader; CREATE ROLE shards_reader LOGIN")
    try:
        for engine in shards.engines:
            spocdb.Database(engine).grant_reader("shards_reader", "photos")
        theirs = [make_conninfo(url, user="shards_reader") for url in shard_urls]
        with spocdb.connect_shards(*theirs, settings=shards.settings) as reader:
            query = labelled / "0004.jpg"
            assert reader.search(query, 40, exact=True) == shards.search(query, 40, exact=True)
            assert reader.count({"kind": "hat"}) == shards.count({"kind": "hat"})
            with pytest.raises(spocdb.RightMissing):
                reader.ingest(labelled.parent)
    finally:
        for url in shard_urls:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP OWNED BY shards_reader")
        admin.execute("DROP ROLE shards_reader")


def test_wrong_values(shards: Shards) -> None:
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("id", lambda: shards.image(1.7)),  # type: ignore[arg-type]
        ("id", lambda: shards.path(True)),
        ("id", lambda: shards.similar(1.7)),  # type: ignore[arg-type]
        ("limit", lambda: next(shards.images(limit=-1))),
        ("collection", lambda: shards.collection(3)),  # type: ignore[arg-type]
        ("collection", lambda: shards.drop(None)),  # type: ignore[arg-type]
    ]
    for field, call in wrong:
        with pytest.raises(InvalidValue, match=f"^{field} must be "):
            call()
    with pytest.raises(ImageNotFound, match=f"no image {2**70}"):
        shards.image(2**70)
