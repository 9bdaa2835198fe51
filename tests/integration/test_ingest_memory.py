"""Memory does not grow with the folder: prefetch for a slow consumer is bounded."""

import gc
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.memory import peak_megabytes
from spocdb.db import collections, descriptors
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.intake import Intake
from spocdb.pipeline.options import CONTENTS_ASKED
from spocdb.pipeline.prefetch import prefetching
from spocdb.pipeline.work import Work
from spocdb.progress import Progress
from spocdb.records import ImageRef
from spocdb.sources.files import FilesSource
from spocdb.storing import REFS_ASKED, changed
from tests.fixtures.opened import Database

Make = Callable[..., Path]

AHEAD = 4


def count_held() -> tuple[int, int]:
    """Return how many works hold pixels, and how many hold a file's bytes, in this process."""
    works = [thing for thing in gc.get_objects() if type(thing) is Work]
    return sum(w.picture is not None for w in works), sum(bool(w.data) for w in works)


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[ImageRef]:
    """Yield different images one by one, without end."""

    def make() -> Iterator[ImageRef]:
        for i in count():
            file = tmp_path / f"{i}.png"
            Image.new("RGB", (8, 8), (i % 256, i // 256, 0)).save(file)
            yield ImageRef(str(file), str(i), file.stat().st_size)

    return make()


@contextmanager
def intake_of(
    db: Database, refs: Iterator[ImageRef], progress: Progress, ahead: int
) -> Iterator[tuple[Intake[ImageRef], Iterator[Work[ImageRef]]]]:
    """Open an intake of the changed images, with this many ahead."""
    collection = collections.get(db.connection, "photos")

    def known(hashes: set[bytes]) -> set[bytes]:
        return descriptors.known(db.connection, collection.extractor_id, hashes)

    wanted = changed(db.connection, collection, refs, progress, retry_failed=False)
    with prefetching(replace(db.settings.limits, ahead=ahead)) as prefetcher:
        intake: Intake[ImageRef] = Intake(collection.recipe, known, prefetcher, Caution())
        with closing(intake.take(FilesSource(), wanted)) as works:  # type: ignore[type-var]
            yield intake, works


def test_an_endless_folder_is_taken_in_with_bounded_memory(
    db: Database, recipe: dict[str, Any], make_photos: Make, endless: Any
) -> None:
    db.ingest(make_photos(1), **recipe)
    progress = Progress()
    # Garbage of other tests.
    gc.collect()
    before = count_held()
    with intake_of(db, endless, progress, AHEAD) as (intake, works):
        for n_taken in range(1, 200):
            work = next(works)
            assert work.picture is not None
            if n_taken % 20 == 0:
                n_decoded, n_read = (
                    now - left for now, left in zip(count_held(), before, strict=True)
                )
                assert n_decoded <= AHEAD + CONTENTS_ASKED + 1
                assert n_read <= 2 * AHEAD + CONTENTS_ASKED
            intake.hand_over([work])
            assert progress.n_seen <= n_taken + REFS_ASKED + 2 * AHEAD + CONTENTS_ASKED


def make_bitmaps(folder: Path, n: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        pixels = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (320, 320, 3))
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{i}.bmp")
    return folder


def peaks(
    program: Path, folders: Sequence[Path], options: Sequence[object], env: dict[str, str]
) -> list[float]:
    """Return the peak memory of an ingest of each folder but the first, in MB.

    The first reads the libraries into the page cache: a process maps more pages of cached files.
    Few new images of a known recipe are computed without torch, many with it.
    """
    commands = [[*map(str, (program, "ingest", folder, *options))] for folder in folders]
    return [peak_megabytes(command, env) for command in commands][1:]


@pytest.mark.slow
def test_eight_times_as_many_files_need_no_more_memory(
    url: str,
    environment: dict[str, str],
    program: Path,
    recipe: dict[str, Any],
    make_photos: Make,
    tmp_path: Path,
) -> None:
    # 300 kB each: the larger folder has 120 MB more than the smaller one.
    few, many = make_bitmaps(tmp_path / "few", 50), make_bitmaps(tmp_path / "many", 400)
    env = environment | {"SPOCDB_DATABASE_URL": url}
    options = ["--extractor", recipe["extractor"], "--size", 32, "--auto-pca=0"]
    small, large = peaks(program, (make_photos(12), few, many), options, env)
    assert large - small < 50


@pytest.mark.slow
def test_large_pictures_stay_within_the_memory_that_they_may_take(
    url: str,
    environment: dict[str, str],
    program: Path,
    recipe: dict[str, Any],
    make_photos: Make,
    tmp_path: Path,
) -> None:
    # Decoding one takes 280 MB, so two threads must not decode two at a time.
    (tmp_path / "large").mkdir()
    for i in range(6):
        picture = Image.new("RGBA", (5000, 4000), (i, i, i, 99))
        picture.save(tmp_path / "large" / f"{i}.png", compress_level=1)
    options = ["--extractor", recipe["extractor"], "--size", 32, "--auto-pca", 0]
    env = environment | {"SPOCDB_DATABASE_URL": url, "SPOCDB_MEMORY": str(320 * 2**20)}
    folders = make_photos(12, "first", seed=1), make_photos(6), tmp_path / "large"
    base, peak = peaks(program, folders, options, env)
    assert peak - base < 320


def write_sparse_bitmaps(folder: Path, n: int, width: int, height: int) -> Path:
    """Write black pictures that differ in their first pixels, as sparse files of grey values."""
    folder.mkdir()
    n_bytes, greys = width * height, bytes(value for i in range(256) for value in (i, i, i, 0))
    start = 54 + len(greys)
    header = struct.pack("<2sIHHI", b"BM", start + n_bytes, 0, 0, start)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, n_bytes, 0, 0, 256, 0)
    for i in range(n):
        with open(folder / f"{i:02}.bmp", "wb") as file:
            file.write(header + greys + bytes([i] * 300))
            file.truncate(start + n_bytes)
    return folder


@pytest.mark.slow
def test_twenty_four_pictures_of_80_megapixels_beside_each_other_stay_within_the_budget(
    url: str,
    environment: dict[str, str],
    program: Path,
    recipe: dict[str, Any],
    make_photos: Make,
    tmp_path: Path,
) -> None:
    # Each file has 80 MB, and decoding it takes 400 MB more: eight threads must not do it at once.
    folder = write_sparse_bitmaps(tmp_path / "large", 24, 10_000, 8_000)
    options = ["--extractor", recipe["extractor"], "--size", 32, "--auto-pca", 0]
    env = environment | {"SPOCDB_DATABASE_URL": url}
    env |= {"SPOCDB_MEMORY": str(2**30), "SPOCDB_THREADS": "8"}
    folders = make_photos(12, "first", seed=1), make_photos(12), folder
    base, peak = peaks(program, folders, options, env)
    assert peak - base < 1024


def test_files_are_listed_as_they_are_needed(
    db: Database, recipe: dict[str, Any], make_photos: Make, endless: Any
) -> None:
    db.ingest(make_photos(1), **recipe)
    with intake_of(db, endless, Progress(), 1) as (_, works):
        assert next(works).refs[0].name.endswith("/0.png")
    assert next(endless).name.endswith(f"/{REFS_ASKED}.png")
