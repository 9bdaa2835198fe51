"""From files to rows: each content once, unchanged files never, changed ones replaced."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook

from spocdb.errors import CollectionNotFound, ConfigError, UnreadableImage
from spocdb.features.trunks import Trunk
from spocdb.images.decode import decode
from spocdb.progress import Progress
from spocdb.records import Float32Array
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Make = Callable[..., Path]
Recipe = dict[str, Any]
Connection = psycopg.Connection[Any]


def rows(db: Database, collection: str = "photos") -> dict[str, tuple[int, bytes, Float32Array]]:
    """Return {file name: (id, sha256, embedding)} as the collection's view shows them."""
    statement = f'SELECT path, id, sha256, embedding::real[] FROM spocdb."{collection}"'
    return {
        Path(path).name: (id_, sha256, np.array(embedding, np.float32))
        for path, id_, sha256, embedding in db.connection.execute(statement)
    }


def counts(progress: Progress) -> tuple[int, int, int, int]:
    return (progress.n_new, progress.n_reused, progress.n_unchanged, progress.n_failed)


def overwrite_unseen(file: Path, content: bytes) -> None:
    """Change a file's bytes but neither its size nor its time."""
    before = file.stat()
    file.write_bytes(content[: before.st_size].ljust(before.st_size, b"\0"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def network(before: Callable[[int], None] = lambda n: None) -> Iterator[list[int]]:
    """Note the size of each batch that enters a network; call `before` with the batch's number.

    Of float32's only: "auto" runs the first image twice more, to see what bfloat16 makes of it.
    """
    sizes: list[int] = []

    def note(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, Trunk):
            sizes.append(len(arguments[0]))
            before(len(sizes))

    hook = register_module_forward_pre_hook(note)
    try:
        yield sizes
    finally:
        hook.remove()


def test_every_image_becomes_a_row_with_its_embedding(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(10)
    assert counts(db.ingest(folder, **recipe)) == (10, 0, 0, 0)
    stored = rows(db)
    assert stored.keys() == {file.name for file in folder.iterdir()}
    for file in folder.iterdir():
        _, sha256, embedding = stored[file.name]
        assert sha256 == hashlib.sha256(file.read_bytes()).digest()
        assert embedding.shape == (256,)
        assert abs(np.linalg.norm(embedding) - 1) < 1e-3
    ((width, height),) = db.connection.execute("SELECT DISTINCT width, height FROM spocdb.photos")
    assert (width, height) == (96, 72)


@pytest.mark.parametrize("collection", ['say "hi"', "Höhle 洞", "100%", "a b;--", "x" * 63])
def test_a_collection_may_be_called_anything(
    db: Database, recipe: Recipe, make_photos: Make, collection: str
) -> None:
    db.ingest(make_photos(2), collection=collection, **recipe)
    assert [(c.name, c.n_images) for c in db.collections()] == [(collection, 2)]
    assert db.similar(1, collection=collection)[0].id == 2


@pytest.mark.parametrize("collection", ["images", "x" * 64, "ü" * 32, "", "\udce9"])
def test_a_name_that_cannot_be_is_refused_in_words(
    db: Database, recipe: Recipe, make_photos: Make, collection: str
) -> None:
    with pytest.raises(ConfigError, match=r"name|not UTF-8"):
        db.ingest(make_photos(1), collection=collection, **recipe)
    assert db.collections() == []


FORMATS = ["a.png", "b.bmp", "c.tiff", "d.webp", "e.gif", "f.jpg", "g.avif", "H.JPEG"]


def test_every_format_is_read_and_looks_the_same(
    db: Database, recipe: Recipe, tmp_path: Path
) -> None:
    # Few colours, which a GIF keeps too.
    colours = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200)], np.uint8)
    picture = Image.fromarray(colours[np.arange(96 * 64).reshape(96, 64) // 1024 % 3])
    for name in FORMATS:
        options = {"lossless": True} if name.endswith("webp") else {"quality": 90 + len(name)}
        picture.save(tmp_path / name, **options)
    assert counts(db.ingest(tmp_path, **recipe)) == (len(FORMATS), 0, 0, 0)
    stored = {name: embedding for name, (_, _, embedding) in rows(db).items()}
    assert stored.keys() == set(FORMATS)
    for name in FORMATS:
        least = 0.99 if name in ("f.jpg", "g.avif", "H.JPEG") else 0.9999
        assert stored[name] @ stored["a.png"] >= least, name


def test_of_an_animation_the_first_frame_counts(
    db: Database, recipe: Recipe, tmp_path: Path
) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "both.gif", save_all=True, append_images=[blue])
    red.save(tmp_path / "red.png")
    blue.save(tmp_path / "blue.png")
    db.ingest(tmp_path, **recipe)
    stored = {name: embedding for name, (_, _, embedding) in rows(db).items()}
    assert stored["both.gif"] @ stored["red.png"] > 0.9999
    assert stored["both.gif"] @ stored["blue.png"] < 0.9999


@pytest.mark.parametrize("name", ["new\nline.jpg", "quote'\".jpg", "日本語.jpg", "tab\t\\n.jpg"])
def test_a_file_may_be_called_anything_that_is_utf_8(
    db: Database, recipe: Recipe, make_photos: Make, name: str
) -> None:
    folder = make_photos(1)
    (folder / "0000.jpg").rename(folder / name)
    assert counts(db.ingest(folder, **recipe)) == (1, 0, 0, 0)
    (hit,) = db.search(folder / name)
    assert hit.path == str(folder / name)
    assert hit.distance < 1e-3
    assert counts(db.ingest(folder, prune=True)) == (0, 0, 1, 0)


def test_unchanged_files_are_not_even_read(db: Database, recipe: Recipe, make_photos: Make) -> None:
    folder = make_photos(3)
    db.ingest(folder, **recipe)
    before = rows(db)
    for file in folder.iterdir():
        overwrite_unseen(file, b"not an image")
    assert counts(db.ingest(folder, **recipe)) == (0, 0, 3, 0)
    assert db.failures() == []
    assert {name: row[:2] for name, row in rows(db).items()} == {
        name: row[:2] for name, row in before.items()
    }


def test_only_a_new_image_needs_the_network_s_weights(
    db: Database, random_recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    weights = tmp_path / "copy.pth"
    weights.write_bytes(random_recipe["weights"].read_bytes())
    folder = make_photos(3)
    db.ingest(folder, **random_recipe | {"weights": weights})
    weights.unlink()
    name = db.extractors()[0].name
    with Database(db.settings) as other:
        assert counts(other.ingest(folder)) == (0, 0, 3, 0)
        assert counts(other.ingest(folder, collection="other", extractor=name)) == (0, 3, 0, 0)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_same_bytes_enter_the_network_once(
    db: Database, recipe: Recipe, make_photos: Make, batch_size: int
) -> None:
    folder = make_photos(7)
    for original in list(folder.iterdir()):
        # One beside the original, in its batch or the one in flight, and one long after it.
        for name in (f"{original.stem}b.jpg", f"later-{original.name}"):
            (folder / name).write_bytes(original.read_bytes())
    with network() as sizes:
        progress = db.ingest(folder, batch_size=batch_size, precision="float32", **recipe)
    assert counts(progress) == (7, 14, 0, 0)
    assert sum(sizes) == 7
    stored = rows(db)
    assert len(stored) == 21
    for name in ("0003b.jpg", "later-0003.jpg"):
        assert np.array_equal(stored[name][2], stored["0003.jpg"][2])


def test_a_folder_of_one_picture_is_one_descriptor(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(1)
    for i in range(1, 300):
        os.link(folder / "0000.jpg", folder / f"{i:04d}.jpg")
    with network() as sizes:
        assert counts(db.ingest(folder, precision="float32", **recipe)) == (1, 299, 0, 0)
    assert sizes == [1]
    assert len(rows(db)) == 300


def test_the_same_bytes_in_another_collection_enter_no_network(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(5)
    db.ingest(folder, **recipe)
    with network() as sizes:
        assert counts(db.ingest(folder, collection="other", **recipe)) == (0, 5, 0, 0)
    assert sizes == []
    for name, (_, sha256, embedding) in rows(db, "other").items():
        assert sha256 == rows(db)[name][1]
        assert np.array_equal(embedding, rows(db)[name][2])


def test_another_extractor_computes_its_own(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    assert counts(db.ingest(folder, collection="max", pooling="max", **recipe)) == (2, 0, 0, 0)
    assert rows(db)["0000.jpg"][2] @ rows(db, "max")["0000.jpg"][2] < 0.9999


def test_a_changed_file_is_replaced_under_its_id_and_keeps_its_metadata(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    folder = make_photos(3)
    (tmp_path / "about.csv").write_text("path,year\nphotos/0001.jpg,1999\n")
    db.ingest(folder, metadata=tmp_path / "about.csv", **recipe)
    before = rows(db)
    other = make_photos(1, "other", seed=1) / "0000.jpg"
    (folder / "0001.jpg").write_bytes(other.read_bytes())
    assert counts(db.ingest(folder)) == (1, 0, 2, 0)
    after = rows(db)
    assert {name: row[0] for name, row in after.items()} == {n: r[0] for n, r in before.items()}
    assert after["0001.jpg"][1] == hashlib.sha256(other.read_bytes()).digest()
    (hit,) = db.search(other, k=1)
    assert (hit.path, hit.metadata) == (str(folder / "0001.jpg"), {"year": 1999})
    assert hit.distance < 1e-3
    assert np.array_equal(after["0002.jpg"][2], before["0002.jpg"][2])


def test_a_touched_file_is_read_but_enters_no_network(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    os.utime(folder / "0000.jpg", ns=(1, 1))
    assert counts(db.ingest(folder)) == (0, 1, 1, 0)
    assert counts(db.ingest(folder)) == (0, 0, 2, 0)


def test_a_batch_is_one_transaction(db: Database, recipe: Recipe, make_photos: Make) -> None:
    db.ingest(make_photos(12), batch_size=4, **recipe)
    transactions = db.connection.execute(
        "SELECT array_agg(DISTINCT d.xmin::text), array_agg(DISTINCT e.xmin::text), count(*)"
        " FROM spocdb.images i JOIN spocdb.descriptors d USING (sha256)"
        " JOIN spocdb.embeddings_1_1 e ON e.image_id = i.id GROUP BY i.xmin::text"
    ).fetchall()
    assert [n for _, _, n in transactions] == [4, 4, 4]
    for descriptors, embeddings, _ in transactions:
        # Not equal: the descriptors are written behind a savepoint, which has its own number.
        assert len(descriptors) == len(embeddings) == 1


def test_writing_does_not_hold_up_the_network(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(12)
    db.ingest(folder / "0000.jpg", **recipe)
    with psycopg.connect(db.url) as blocker:
        blocker.execute("SELECT FROM spocdb.collections FOR NO KEY UPDATE")

        def let_go_at_the_second_batch(n: int) -> None:
            # On a CPU each image enters the network by itself.
            if n == 3:
                # The first batch was handed over, and cannot have been written.
                assert len(rows(db)) == 1
                blocker.rollback()

        # If the loop waited for the first batch to be written, it would wait for ever.
        db.connection.execute(
            f"ALTER DATABASE {db.connection.info.dbname} SET lock_timeout = '20s'"
        )
        with network(let_go_at_the_second_batch) as sizes:
            db.ingest(folder, batch_size=2, precision="float32")
    assert sum(sizes) == 11
    assert len(rows(db)) == 12


def test_the_next_images_are_decoded_while_the_network_runs(
    db: Database, recipe: Recipe, make_photos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = threading.Semaphore(0)

    def count_and_decode(*arguments: Any) -> Any:
        decoded.release()
        return decode(*arguments)

    monkeypatch.setattr("spocdb.pipeline.intake.decode", count_and_decode)

    def wait_for_the_second_image(n: int) -> None:
        if n == 1:
            for _ in range(2):
                assert decoded.acquire(timeout=30)

    with network(wait_for_the_second_image) as sizes:
        db.ingest(make_photos(6), batch_size=1, precision="float32", **recipe)
    assert sizes == [1] * 6


def test_two_ingests_of_one_folder_at_once_lose_and_double_nothing(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(40)
    db.ingest(folder / "0000.jpg", **recipe)
    stored: list[int] = []

    def ingest() -> None:
        with Database(db.settings) as other:
            progress = other.ingest(folder, batch_size=3)
            stored.append(progress.n_stored + progress.n_unchanged)

    threads = [threading.Thread(target=ingest) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored == [40, 40, 40]
    assert len(rows(db)) == 40
    assert len({id_ for id_, _, _ in rows(db).values()}) == 40


def test_two_first_ingests_at_once_make_one_collection(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(6)
    outcomes: list[int] = []
    together = threading.Barrier(2)

    def ingest() -> None:
        with Database(db.settings) as other:
            together.wait(30)
            outcomes.append(other.ingest(folder, **recipe).n_seen)

    threads = [threading.Thread(target=ingest) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [6, 6]
    assert len(rows(db)) == 6


def test_a_run_is_recorded_with_its_counts(db: Database, recipe: Recipe, make_photos: Make) -> None:
    progress = db.ingest(make_photos(3), **recipe)
    ((status, summary),) = db.connection.execute("SELECT status, summary FROM spocdb.runs")
    assert status == "finished"
    assert summary == progress.as_dict()


def test_progress_is_told_until_all_is_done(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    told: list[int] = []
    db.ingest(make_photos(5), batch_size=2, on_progress=lambda p: told.append(p.n_done), **recipe)
    assert told == sorted(told)
    assert told[-1] == 5


def test_each_image_moves_the_count_that_a_person_sees(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    told: list[Progress] = []
    shown: list[tuple[int, int]] = []

    def note(n: int) -> None:
        shown.append((told[0].n_done, told[0].n_shown))

    with network(note):
        db.ingest(
            make_photos(8), batch_size=8, precision="float32", on_progress=told.append, **recipe
        )
    # One batch: nothing is counted as done before all is. Decoded is half of the way.
    assert {n_done for n_done, _ in shown} == {0}
    assert shown[0][1] == 4 and shown[-1][1] >= 7
    assert all(progress is told[0] for progress in told)
    assert (told[0].n_shown, told[0].doing) == (8, "fitting the first PCA")


def test_subfolders_are_left_alone_if_asked(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(2)
    make_photos(3, "photos/below", seed=1)
    assert db.ingest(folder, recursive=False, **recipe).n_seen == 2
    assert counts(db.ingest(folder)) == (3, 0, 2, 0)


def test_a_relative_path_is_stored_absolute(
    db: Database, recipe: Recipe, make_photos: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_photos(1)
    monkeypatch.chdir(folder)
    db.ingest(".", **recipe)
    assert db.path(1) == str(folder / "0000.jpg")
    assert counts(db.ingest("../photos/0000.jpg")) == (0, 0, 1, 0)


def test_nothing_is_made_by_a_path_that_is_not_there(
    db: Database, recipe: Recipe, make_photos: Make, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no such file or folder: .*nowhere"):
        db.ingest(make_photos(1), tmp_path / "nowhere", **recipe)
    assert db.collections() == []


def test_nothing_is_made_by_weights_that_do_not_fit(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(1)
    with pytest.raises(ConfigError, match="broken, or unsafe to load"):
        db.ingest(folder, **recipe | {"weights": folder / "0000.jpg"})
    assert counts(db.ingest(folder, **recipe)) == (1, 0, 0, 0)


def test_a_collection_that_is_dropped_meanwhile_is_a_clear_error(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    def drop(n: int) -> None:
        if n == 2:
            with Database(from_environment(db.url, {})) as other:
                other.drop("photos")

    with (
        network(drop),
        pytest.raises(CollectionNotFound, match="photos was dropped meanwhile"),
    ):
        db.ingest(make_photos(12), batch_size=1, **recipe)


def test_enough_images_get_a_first_pca(
    db: Database, random_recipe: Recipe, make_photos: Make, said: list[str]
) -> None:
    options = random_recipe | {"size": 32}
    db.ingest(make_photos(256), auto_pca=256, **options)
    assert db.collections()[0].dim == 512  # 256 dimensions need 257 images
    db.ingest(make_photos(1, "more", seed=1), auto_pca=256)
    assert db.collections()[0].dim == 256
    assert "fitted projection 2 on 257 images" in said
    assert len(rows(db)["0000.jpg"][2]) == 256


def test_without_auto_pca_there_is_none(
    db: Database, random_recipe: Recipe, make_photos: Make
) -> None:
    db.ingest(make_photos(257), auto_pca=0, **random_recipe | {"size": 32})
    assert db.collections()[0].projection == 1


def test_short_descriptors_get_no_pca_by_themselves(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    db.ingest(make_photos(257), auto_pca=257, **recipe | {"size": 32})
    assert db.collections()[0].projection == 1


def test_prune_deletes_the_images_of_deleted_files_only(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder, other = make_photos(4), make_photos(2, "photos2", seed=1)
    db.ingest(folder, other, **recipe)
    for file in (folder / "0001.jpg", folder / "0002.jpg", other / "0000.jpg"):
        file.unlink()
    progress = db.ingest(folder, prune=True)
    assert (progress.n_pruned, progress.n_unchanged) == (2, 2)
    paths = {hit.path for hit in db.search(folder / "0000.jpg", k=9)}
    assert paths == {
        *(str(folder / f"{n}.jpg") for n in ("0000", "0003")),
        # Another folder's, though its file is gone, and though its name begins alike.
        *(str(other / f"{n}.jpg") for n in ("0000", "0001")),
    }


def test_nothing_is_deleted_without_prune(db: Database, recipe: Recipe, make_photos: Make) -> None:
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    (folder / "0000.jpg").unlink()
    assert db.ingest(folder).n_pruned == 0
    assert len(rows(db)) == 2


def test_prune_refuses_a_folder_without_any_image(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    # As a disk that is not mounted looks like.
    folder = make_photos(2)
    db.ingest(folder, **recipe)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match=r"nothing pruned: .* holds no image any more"):
        db.ingest(folder, prune=True)
    assert len(rows(db)) == 2


def test_prune_without_recursion_spares_what_lies_below(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(2)
    make_photos(1, "photos/below", seed=1)
    db.ingest(folder, **recipe)
    (folder / "0000.jpg").unlink()
    assert db.ingest(folder, recursive=False, prune=True).n_pruned == 1
    assert len(rows(db)) == 2


def test_nothing_is_made_for_a_folder_without_images(
    db: Database, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="there are no images under"):
        db.ingest(tmp_path, **recipe)
    assert db.collections() == []


def test_a_file_of_too_many_bytes_is_a_failure_and_not_read_whole(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(2)
    with open(folder / "huge.png", "wb") as stream:
        stream.truncate(2**41)  # sparse: no disk is used
    assert db.ingest(folder, **recipe).n_failed == 1
    (failure,) = db.failures()
    assert (failure.reason, Path(failure.path).name) == ("ImageTooLarge", "huge.png")


def test_a_file_that_is_all_right_again_is_no_failure_any_more(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    file = make_photos(1) / "0000.jpg"
    good, times = file.read_bytes(), file.stat()
    db.ingest(file, **recipe)
    file.write_bytes(b"broken")
    assert db.ingest(file).n_failed == 1
    file.write_bytes(good)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (db.ingest(file).n_unchanged, db.failures()) == (1, [])


def test_strict_stops_at_a_failure_that_is_known_too(
    db: Database, recipe: Recipe, make_photos: Make
) -> None:
    folder = make_photos(2)
    (folder / "bad.jpg").write_bytes(b"bad")
    assert db.ingest(folder, **recipe).n_failed == 1
    with pytest.raises(UnreadableImage, match=r"bad\.jpg"):
        db.ingest(folder, strict=True)
